import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { acquireLock, LockError } from '../../agent/host/lock.ts'

let folder: string
let path: string
const started: ChildProcess[] = []
const children: number[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-lock-'))
  path = join(folder, 'lock')
})
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  for (const pid of children.splice(0)) kill(pid)
  await rm(folder, { recursive: true })
})

type Event = {
  readonly waitsFor?: string
  readonly holds?: boolean
  readonly child?: number
  readonly released?: boolean
}

const program = join(import.meta.dirname, 'lock-program.ts')

/** A process that takes the lock. */
function start(holder: string, at = path, wrapper: readonly string[] = []) {
  const command = [...wrapper, process.execPath, program, at, holder]
  const child = spawn('env', command, { stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(child)
  const lines = on(createInterface({ input: child.stdout }), 'line')
  return {
    pid: child.pid ?? 0,
    async next(): Promise<Event> {
      const { value } = (await lines.next()) as { value: [string] }
      const event = JSON.parse(value[0]) as Event
      if (event.child !== undefined) children.push(event.child)
      return event
    },
    release: () => child.stdin.end(),
    async die() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

const holds = expect.objectContaining({ holds: true })

test('the second one waits, is told for whom, and has the lock when the first one lets go of it', async () => {
  const first = start('pod a')
  expect(await first.next()).toEqual(holds)
  const second = start('pod b')
  expect(await second.next()).toEqual({ waitsFor: 'pod a' })
  first.release()
  expect(await first.next()).toEqual({ released: true })
  expect(await second.next()).toEqual(holds)
  expect(await readFile(path, 'utf8')).toBe('pod b\n')
})

test('the lock of a process that is killed is free, though a command of it lives on', async () => {
  const first = start('pod a')
  const { child = 0 } = await first.next()
  const second = start('pod b')
  await second.next()
  await first.die()
  expect(await second.next()).toEqual(holds)
  expect(await state(child)).toMatch(/^[SR]$/)
})

test('one who waits and is killed leaves no process behind', async () => {
  const first = start('pod a')
  await first.next()
  const second = start('pod b')
  await second.next()
  const waiting = await untilFlock(second.pid)
  await second.die()
  await expect.poll(async () => state(waiting)).toMatch(/^(gone|Z)$/)
  first.release()
  expect(await first.next()).toEqual({ released: true })
  expect(await start('pod c').next()).toEqual(holds)
})

test('nothing runs while the lock is held', async () => {
  const first = start('pod a')
  const { child } = await first.next()
  expect(await childrenOf(first.pid)).toEqual([{ pid: child, name: 'sleep' }])
})

test('it is the same lock in another container, where the file has another name', async () => {
  await writeFile(path, '')
  const elsewhere = join(folder, 'elsewhere')
  await writeFile(elsewhere, '')
  const bind = ['unshare', '--mount', '--', 'sh', '-c', `mount --bind "$0" "$1" && shift && exec "$@"`]
  const first = start('pod a', elsewhere, [...bind, path, elsewhere])
  expect(await first.next()).toEqual(holds)
  const second = start('pod b')
  expect(await second.next()).toEqual({ waitsFor: 'pod a' })
  await first.die()
  expect(await second.next()).toEqual(holds)
})

test('the lock is that of the file which is there now, if it was replaced meanwhile', async () => {
  const first = start('pod a')
  await first.next()
  const second = start('pod b')
  await second.next()
  await untilFlock(second.pid)
  await rm(path)
  await first.die()
  expect(await second.next()).toEqual(holds)
  expect(await start('pod c').next()).toEqual({ waitsFor: 'pod b' })
})

test('waiting ends with the signal, and then nothing is held or runs on', async () => {
  const signal = new AbortController().signal
  const lock = await acquireLock(path, { signal, onWait: () => expect.unreachable() })
  const stop = new AbortController()
  const told: (string | undefined)[] = []
  const waiting = acquireLock(path, { signal: stop.signal, onWait: (holder) => told.push(holder) })
  waiting.catch(() => {})
  const flock = await untilFlock(process.pid)
  const reason = new Error('the end')
  stop.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  expect(told).toEqual([`process ${process.pid}`])
  await expect.poll(async () => state(flock)).toMatch(/^(gone|Z)$/)
  await lock.release()
  const next = await acquireLock(path, { signal, onWait: () => expect.unreachable() })
  await next.release()
})

test('of many who want it, each has it in turn, and never two at once', async () => {
  let now = 0
  let most = 0
  let had = 0
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      const lock = await acquireLock(path, { signal: new AbortController().signal, onWait() {} })
      now += 1
      had += 1
      most = Math.max(most, now)
      await new Promise((resolve) => setImmediate(resolve))
      now -= 1
      await lock.release()
    }),
  )
  expect({ had, most }).toEqual({ had: 12, most: 1 })
})

test.each([
  ['a folder that is not there', async () => join(folder, 'missing', 'lock'), /ENOENT/],
  ['a folder in place of the file', async () => (await mkdir(path), path), /EISDIR/],
  ['no folder at all', async () => (await writeFile(path, ''), join(path, 'lock')), /ENOTDIR/],
])('%s is an error that says so', async (_, make, expected) => {
  const at = await make()
  const taking = acquireLock(at, { signal: new AbortController().signal, onWait() {} })
  await expect(taking).rejects.toThrow(LockError)
  await expect(taking).rejects.toThrow(expected)
  await expect(taking).rejects.toThrow(`locking ${at}: `)
})

test.each([
  ['is not there', undefined, /locking .*\/lock with flock: .*ENOENT/],
  ['fails', 'echo out of locks >&2; exit 71', /locking .*\/lock with flock: out of locks/],
  ['says nothing', 'exit 71', /locking .*\/lock with flock: exit status 71/],
])('a flock that %s is an error that says so', async (_, script, expected) => {
  if (script !== undefined) {
    await writeFile(join(folder, 'setpriv'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  const env = { ...process.env, PATH: folder }
  const { stderr } = spawnSync(process.execPath, [program, path, 'a'], { encoding: 'utf8', env })
  expect(stderr).toMatch(expected)
})

test('a folder that cannot be written to is an error that says so', () => {
  const mount = ['sh', '-c', 'mount -t tmpfs -o ro none "$0" && exec "$@"', folder]
  const command = ['--mount', '--', ...mount, process.execPath, program, path, 'a']
  const { stderr } = spawnSync('unshare', command, { encoding: 'utf8' })
  expect(stderr).toMatch(/LockError: locking .*\/lock: EROFS: read-only file system/)
})

async function untilFlock(parent: number): Promise<number> {
  const find = async () => (await childrenOf(parent)).find(({ name }) => name === 'flock')?.pid
  await expect.poll(find).toBeDefined()
  return (await find()) ?? 0
}

async function childrenOf(parent: number): Promise<{ pid: number; name: string }[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  const all = await Promise.all(pids.map(async (pid) => ({ pid, ...(await readStat(pid)) })))
  return all.filter(({ ppid }) => ppid === parent).map(({ pid, name = '' }) => ({ pid, name }))
}

/** The state of a process as proc(5) names it. */
async function state(pid: number): Promise<string> {
  return (await readStat(pid)).state ?? 'gone'
}

async function readStat(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const { name, state: letter, ppid } = /\((?<name>.*)\) (?<state>\S) (?<ppid>\d+)/.exec(text)?.groups ?? {}
  return { name, state: letter, ppid: Number(ppid) }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}
