import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStateFolder, removeStateFolder, StateFolderError } from '../../agent/host/state-folder.ts'
import { writeSealed } from '../../agent/host/sealed-file.ts'
import type { Store } from '../../agent/confirm/keeping.ts'
import { generation, journal } from './state-program.ts'

let parent: string
let path: string
let folder: Store
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'node-firewall-state-'))
  path = join(parent, 'state')
  folder = openStateFolder(path)
})
afterEach(async () => rm(parent, { recursive: true }))

const nothing = { quarantined: [], problems: [] }

test('a folder that is not there holds nothing, and reading does not make it', async () => {
  expect(await folder.read()).toEqual(nothing)
  expect(await readdir(parent)).toEqual([])
})

test('what is saved is read again by the next process, and is for root alone', async () => {
  await folder.saveLastGood(generation(1))
  await folder.saveJournal(journal(2))
  expect(await openStateFolder(path).read()).toEqual({
    ...journal(2),
    lastGood: generation(1),
    problems: [],
  })
  const modes = ['', 'last-good', 'journal'].map(async (name) => (await stat(join(path, name))).mode & 0o777)
  expect(await Promise.all(modes)).toEqual([0o700, 0o600, 0o600])
})

test('calls are carried out in the order they came', async () => {
  const saves = [1, 2, 3, 4, 5].map(async (number) => folder.saveJournal(journal(number)))
  expect(await folder.read()).toEqual({ ...nothing, ...journal(5) })
  await Promise.all(saves)
})

test('a disk that hangs keeps nobody waiting; what was given up before its turn is not written late', async () => {
  const { promise: thawed, resolve: thaw } = Promise.withResolvers<void>()
  const written: string[] = []
  const hanging = openStateFolder(path, {
    limitMs: 20,
    async write(file, chunks) {
      written.push(String(chunks[0]))
      await thawed
      await writeSealed(file, chunks)
    },
  })
  for (const number of [1, 2]) {
    const saving = hanging.saveJournal(journal(number))
    await expect(saving).rejects.toThrow(StateFolderError)
    await expect(saving).rejects.toThrow('journal: no end after 0.02 s')
  }
  await expect(hanging.saveLastGood(generation(1))).rejects.toThrow('last-good: no end after 0.02 s')
  thaw()
  expect(await hanging.read()).toEqual({ ...nothing, ...journal(1) })
  expect(written).toHaveLength(1)
  await openStateFolder(path).saveJournal(journal(3))
  expect(await hanging.read()).toEqual({ ...nothing, ...journal(3) })
})

const bytes = fc.uint8Array({ maxLength: 3000, size: 'max' })
const anyGeneration = fc.record({
  hash: fc.string({ unit: 'binary' }),
  files: fc.array(
    fc.record(
      { path: fc.string({ unit: 'binary' }), kind: fc.constant('data' as const), bytes },
      { requiredKeys: ['path', 'bytes'] },
    ),
  ),
  labels: fc.dictionary(fc.stringMatching(/^[a-z0-9][a-z0-9./_-]{0,20}$/), fc.string()),
  confirmedAt: fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
})
const anyJournal = fc.record(
  {
    trial: fc.record({ hash: fc.string(), passedBefore: fc.array(fc.string()), startedAt: fc.string() }),
    quarantined: fc.array(
      fc.record({
        hash: fc.string(),
        text: fc.string(),
        probe: fc.string(),
        reason: fc.string(),
        at: fc.string(),
      }),
    ),
    uncut: fc.constant(true as const),
    mode: fc.string(),
  },
  { requiredKeys: ['quarantined'] },
)

test('any bytes under any names come back as they were', async () => {
  await fc.assert(
    fc.asyncProperty(anyGeneration, anyJournal, async (saved, kept) => {
      // That trial would be over.
      fc.pre(kept.trial?.hash !== saved.hash)
      await Promise.all([folder.saveLastGood(saved), folder.saveJournal(kept)])
      const { lastGood, problems, ...found } = await folder.read()
      expect({ ...lastGood, files: lastGood?.files.map(plain) }).toEqual({
        ...saved,
        files: saved.files.map(plain),
      })
      expect(found).toEqual(kept)
      expect(problems).toEqual([])
    }),
    { numRuns: 60 },
  )
})

function plain(file: { readonly path: string }) {
  return 'bytes' in file ? { ...file, bytes: Buffer.from(file.bytes as Uint8Array).toString('hex') } : file
}

test('a file that could not be read is left out of the last good ones', async () => {
  const whole = generation(1)
  await folder.saveLastGood({ ...whole, files: [{ path: 'x', error: 'no permission' }, ...whole.files] })
  expect((await folder.read()).lastGood).toEqual(whole)
})

test('a journal that carries all that was read with it is saved without that', async () => {
  await folder.saveLastGood(generation(1))
  await folder.saveJournal(journal(2))
  const alone = await readFile(join(path, 'journal'), 'utf8')
  await folder.saveJournal(await folder.read())
  expect(await readFile(join(path, 'journal'), 'utf8')).toBe(alone)
})

test.each([
  ['that was confirmed, its end not yet written, is over', '1', false],
  ['of other rulesets is not', '2', true],
])('a trial %s', async (_, hash, isTrial) => {
  const trial = { hash, passedBefore: [], startedAt: '2026-01-01T00:00:00Z' }
  await folder.saveJournal({ trial, quarantined: [], mode: 'audit' })
  await folder.saveLastGood(generation(1))
  const { lastGood: _lastGood, ...found } = await folder.read()
  expect(found).toEqual({ ...(isTrial ? { trial } : {}), quarantined: [], mode: 'audit', problems: [] })
})

const line = (fields: object) => async (file: string) => {
  const content = (await readFile(file)).subarray(1 + (await readFile(file)).indexOf('\n'))
  const first = JSON.parse((await readFile(file, 'utf8')).split('\n')[0] ?? '') as object
  await writeFile(file, Buffer.concat([Buffer.from(`${JSON.stringify({ ...first, ...fields })}\n`), content]))
}
const edit = (change: (bytes: Buffer) => Buffer) => async (file: string) =>
  writeFile(file, change(await readFile(file)))
const replaceBy = (make: (file: string) => Promise<unknown>) => async (file: string) => {
  await rm(file)
  await make(file)
}
const pipe = async (file: string) => execFileSync('mkfifo', [file])

test.each([
  ['cut off', edit((all) => all.subarray(0, -1)), /found \d+ bytes after the first line, expected the \d+/],
  ['too long', edit((all) => Buffer.concat([all, all])), /found \d+ bytes after the first line, expected/],
  ['empty', edit(() => Buffer.alloc(0)), /found no first line with version, bytes and sha256, expected one/],
  ['full of zeros', edit((all) => all.fill(0)), /found no first line/],
  ['with a flipped bit', edit(flipLast), /found a content that does not match the SHA-256/],
  ['of a newer version', line({ version: 2 }), /found version 2, expected version 1/],
  ['of no version', line({ version: undefined }), /found no first line/],
  ['that names a huge size', line({ bytes: 1e15 }), /expected the 1000000000000000 that it names/],
  ['with another checksum', line({ sha256: 'x' }), /found no first line/],
  ['not JSON', edit(() => Buffer.from('hello\n')), /found no first line/],
  ['a folder', replaceBy(mkdir), /found a folder, expected a file/],
  ['a pipe', replaceBy(pipe), /found no file, expected a file/],
  // Reading the memory of a process at 0 fails as a bad block of a disk does.
  ['unreadable', replaceBy(async (file) => symlink('/proc/self/mem', file)), /cannot be read: EIO/],
  ['a link in circles', replaceBy(async (file) => symlink(file, file)), /cannot be read: ELOOP/],
])('a file that is %s is ignored, told of, and no harm to the other one', async (_, damage, expected) => {
  await folder.saveLastGood(generation(1))
  await folder.saveJournal(journal(1))
  const whole = await folder.read()
  for (const name of ['last-good', 'journal'] as const) {
    const file = join(path, name)
    await damage(file)
    const found = await folder.read()
    expect(found.problems).toEqual([expect.stringMatching(expected)])
    expect(found.problems[0]).toContain(`${file}: `)
    const { lastGood, ...kept } = whole
    expect({ ...found, problems: [] }).toEqual(name === 'journal' ? { ...nothing, lastGood } : kept)
    await rm(file, { recursive: true })
    await (name === 'journal' ? folder.saveJournal(journal(1)) : folder.saveLastGood(generation(1)))
    expect(await folder.read()).toEqual(whole)
  }
})

function flipLast(all: Buffer): Buffer {
  all[all.length - 1] = (all.at(-1) ?? 0) ^ 1
  return all
}

test('any single byte that is changed is noticed', async () => {
  await folder.saveJournal(journal(1))
  const whole = await readFile(join(path, 'journal'))
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ flip
      await writeFile(join(path, 'journal'), damaged)
      const found = await folder.read()
      expect(found).toEqual({ ...nothing, problems: [expect.stringContaining('journal: found ')] })
    }),
  )
})

test('a file in place of the folder is told of, and saving says what failed', async () => {
  await writeFile(path, '')
  expect((await folder.read()).problems).toEqual([
    expect.stringContaining('last-good: cannot be read: ENOTDIR'),
    expect.stringContaining('journal: cannot be read: ENOTDIR'),
  ])
  const saving = folder.saveJournal(journal(1))
  await expect(saving).rejects.toThrow(StateFolderError)
  await expect(saving).rejects.toThrow(/^saving .*\/state\/journal: E/)
})

test('a save that failed leaves nothing behind and does not hold up the next one', async () => {
  await mkdir(join(path, 'last-good'), { recursive: true })
  const [failed, next] = [folder.saveLastGood(generation(1)), folder.saveJournal(journal(1))]
  await expect(failed).rejects.toThrow(/^saving .*\/last-good: EISDIR/)
  await next
  expect((await readdir(path)).toSorted()).toEqual(['journal', 'last-good'])
})

test('clean removes what is ours, and the folder with it', async () => {
  await folder.saveLastGood(generation(1))
  await folder.saveJournal(journal(1))
  await writeFile(join(path, 'journal.0123abcd.tmp'), '')
  expect(await removeStateFolder(path)).toEqual({
    removed: ['journal', 'last-good', 'journal.0123abcd.tmp', '']
      .map((name) => join(path, name, '.'))
      .map(trim),
    left: [],
  })
  expect(await readdir(parent)).toEqual([])
  expect(await removeStateFolder(path)).toEqual({ removed: [], left: [] })
})

function trim(name: string): string {
  return name.replace(/\/$/, '')
}

test('clean leaves what others have put there, by whatever name', async () => {
  await folder.saveJournal(journal(1))
  await mkdir(join(path, 'last-good'))
  const others = ['modes', 'journal.bak', 'journal.tmp', 'x.0123abcd.tmp']
  for (const name of others) await (await open(join(path, name), 'w')).close()
  const { removed, left } = await removeStateFolder(path)
  expect(removed).toEqual([join(path, 'journal')])
  expect(left.toSorted()).toEqual([...others, 'last-good'].map((name) => join(path, name)).toSorted())
  expect((await readdir(path)).toSorted()).toEqual([...others, 'last-good'].toSorted())
})
