import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { modeFileIn, readModeFile, watchModeFile } from '../../agent/host/mode-file.ts'

let parent: string
let folder: string
let file: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'node-firewall-mode-'))
  folder = join(parent, 'state')
  file = modeFileIn(folder)
})
afterEach(async () => rm(parent, { recursive: true }))

test.each([
  ['off', 'off\n', { mode: 'off' }],
  ['audit', 'audit', { mode: 'audit' }],
  ['spaces and line ends of any kind', ' \t off \r\n\n', { mode: 'off' }],
  ['enforce', 'enforce\n', undefined],
  ['nothing', '', undefined],
  ['blanks', ' \n', undefined],
])('%s is understood', async (_, text, expected) => {
  await mkdir(folder)
  await writeFile(file, text)
  expect(await readModeFile(file)).toEqual(expected)
})

test.each([
  ['another word', 'of\n', 'found "of", expected off or audit'],
  ['capitals', 'OFF', 'found "OFF", expected off or audit'],
  ['two words', 'off audit', 'found "off audit", expected off or audit'],
  ['something long', `off${'x'.repeat(1000)}`, `found "off${'x'.repeat(17)}…", expected off or audit`],
  ['what is no text', '\0', String.raw`found "\u0000", expected off or audit`],
])('%s is a problem that says so', async (_, text, expected) => {
  await mkdir(folder)
  await writeFile(file, text)
  expect(await readModeFile(file)).toEqual({ problem: `${file}: ${expected}` })
})

test.each([
  ['a folder', async () => mkdir(file), 'found no file, expected one'],
  ['a pipe', async () => execFileSync('mkfifo', [file]), 'found no file, expected one'],
  ['a link in circles', async () => symlink(file, file), 'cannot be read: ELOOP'],
])('%s is a problem that says so', async (_, make, expected) => {
  await mkdir(folder)
  await make()
  expect(await readModeFile(file)).toEqual({ problem: expect.stringContaining(`${file}: ${expected}`) })
})

test('no file and no folder ask for nothing', async () => {
  expect(await readModeFile(file)).toBeUndefined()
  await mkdir(folder)
  expect(await readModeFile(file)).toBeUndefined()
})

test('a file that the shell has emptied and not yet written to is not taken for an empty one', async () => {
  await mkdir(folder)
  const handle = await open(file, 'w')
  const reading = readModeFile(file)
  await handle.writeFile('off\n')
  await handle.close()
  expect(await reading).toEqual({ mode: 'off' })
})

/** Each step, in a folder that is not there at first, and what the file says then. */
const steps: readonly [string, () => Promise<unknown>, unknown][] = [
  [
    'the folder is made, with the file in it',
    async () => (await mkdir(folder), write('off')),
    { mode: 'off' },
  ],
  ['it is written to in place', async () => write('audit'), { mode: 'audit' }],
  ['it is replaced by a rename', async () => replace('off'), { mode: 'off' }],
  ['it is written to after that', async () => write('audit'), { mode: 'audit' }],
  ['it is removed', async () => rm(file), undefined],
  ['it is made again', async () => write('off'), { mode: 'off' }],
  ['the folder is removed', async () => rm(folder, { recursive: true }), undefined],
  ['the folder is made again', async () => (await mkdir(folder), write('audit')), { mode: 'audit' }],
  ['the folder is replaced by another one', async () => replaceFolder('off'), { mode: 'off' }],
  ['it is written to in that one', async () => write('audit'), { mode: 'audit' }],
]

test('each change is seen, however it is made', async () => {
  let found: unknown
  let stale = true
  const stop = watchModeFile(folder, {
    onChange: () => (stale = true),
    onError: (error) => expect.unreachable(String(error)),
  })
  const seen: [string, unknown][] = []
  for (const [name, act, expected] of steps) {
    await act()
    // Read only upon a change, as the agent does.
    await expect
      .poll(async () => {
        if (stale) {
          stale = false
          found = await readModeFile(file)
        }
        return found
      })
      .toEqual(expected)
    seen.push([name, found])
  }
  await stop()
  expect(seen).toEqual(steps.map(([name, , expected]) => [name, expected]))
})

test('what changed while the watch was being set up is seen too', async () => {
  await mkdir(folder)
  let changes = 0
  const stop = watchModeFile(folder, { onChange: () => (changes += 1), onError() {} })
  await write('off')
  await expect.poll(() => changes).toBeGreaterThan(0)
  await stop()
})

test('what the agent itself keeps in the folder is no change', async () => {
  await mkdir(folder)
  await write('off')
  let changes = 0
  const stop = watchModeFile(folder, { onChange: () => (changes += 1), onError() {} })
  await expect.poll(() => changes).toBe(1)
  await writeFile(join(folder, 'journal'), 'x')
  await rename(join(folder, 'journal'), join(folder, 'last-good'))
  await appendFile(file, '\n')
  await expect.poll(() => changes).toBe(2)
  await stop()
})

async function write(mode: string): Promise<void> {
  execFileSync('sh', ['-c', 'echo "$0" > "$1"', mode, file])
}

async function replace(mode: string): Promise<void> {
  await writeFile(`${file}.new`, mode)
  await rename(`${file}.new`, file)
}

async function replaceFolder(mode: string): Promise<void> {
  await rm(folder, { recursive: true })
  await mkdir(folder)
  await write(mode)
}
