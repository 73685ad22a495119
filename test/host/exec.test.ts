import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CommandError, createExec } from '../../agent/host/exec.ts'

const exec = createExec(process.pid, { timeoutMs: 300 })
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-exec-'))
})
afterAll(async () => rm(folder, { recursive: true }))

// Each would hang for longer than a test may take.
test.each([
  ['a program', 'exec sleep 600'],
  ['a wrapper whose child hangs, and holds the pipes', 'sleep 600; true'],
  ['one that does not listen to SIGTERM', "trap '' TERM; sleep 600; sleep 600"],
  ['one that has sent its child out of reach', 'setsid sleep 20'],
])('what hangs is killed, and said: %s', async (_, script) => {
  const file = join(folder, 'program')
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const error: unknown = await exec(file, []).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(CommandError)
  expect(String(error)).toContain(`running ${file}: no end after 0.3 s`)
})

test.each([
  ['is missing', '/nowhere/iptables', [], 'exit status 127: nsenter: failed to execute /nowhere/iptables'],
  ['fails', 'sh', ['-c', 'echo no memory >&2; exit 4'], 'exit status 4: no memory'],
  ['is killed by somebody', 'sh', ['-c', 'kill -9 $$'], 'SIGKILL'],
])('a program that %s', async (_, program, args, complaint) => {
  await expect(exec(program, args)).rejects.toThrow(complaint)
})

test('in the network namespace that this program is in nothing stands before a program', async () => {
  const here = createExec('self')
  const { stdout } = await here('sh', ['-c', 'echo $PPID'])
  expect(stdout).toBe(`${process.pid}\n`)
  await expect(here('/nowhere/iptables', [])).rejects.toThrow(
    'running /nowhere/iptables: failed to execute /nowhere/iptables: No such file or directory',
  )
  await expect(here('sh', ['-c', 'echo no memory >&2; exit 4'])).rejects.toThrow('exit status 4: no memory')
})
