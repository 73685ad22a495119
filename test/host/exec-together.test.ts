import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandError, createExec } from '../../agent/host/exec.ts'
import { createExecTogether } from '../../agent/host/exec-together.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-together-'))
})
afterAll(async () => rm(folder, { recursive: true }))

function create(timeoutMs = 20_000) {
  const failed: string[] = []
  const started: number[] = []
  const options = {
    timeoutMs,
    onStart: (pid: number) => void started.push(pid),
    onFailure: (program: string) => void failed.push(program),
  }
  const exec = createExecTogether(process.pid, createExec(process.pid, options), options)
  return { exec, failed, started }
}

async function write(name: string, script: string): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return file
}

describe('programs that are asked for at the same time', () => {
  test('are children of one process, and each has its own answer', async () => {
    const { exec, started } = create()
    const program = await write('answers', 'echo "$1 $PPID"; echo "warning $1" >&2')
    const results = await Promise.all(['a', 'b', 'c'].map(async (word) => exec(program, [word])))
    expect(new Set(started).size).toBe(1)
    expect(results.map(({ stdout }) => stdout[0])).toEqual(['a', 'b', 'c'])
    expect(results.map(({ stderr }) => stderr)).toEqual(['warning a\n', 'warning b\n', 'warning c\n'])
  })

  test('more than three take more than one process', async () => {
    const { exec, started } = create()
    const words = ['1', '2', '3', '4', '5', '6', '7']
    const results = await Promise.all(words.map(async (word) => exec('echo', [word])))
    expect(results.map(({ stdout }) => stdout)).toEqual(words.map((word) => `${word}\n`))
    expect(new Set(started).size).toBe(3)
  })

  test.each([
    ['words of a shell', ['$HOME', '`id`', "it's", '"', 'a  b', '*', '\\n', '; exit 3', 'new\nline']],
    ['nothing at all', ['']],
  ])('get their arguments as they are: %s', async (_, words) => {
    const { exec } = create()
    const asked = words.map(async (word) => exec('printf', ['%s', word]))
    const others = words.map(async () => exec('true', []))
    expect((await Promise.all(asked)).map(({ stdout }) => stdout)).toEqual(words)
    await Promise.all(others)
  })

  test('may print very much, and nothing', async () => {
    const { exec } = create()
    const [much, nothing, said] = await Promise.all([
      exec('seq', ['300000']),
      exec('true', []),
      exec('sh', ['-c', 'printf "12"; printf "34" >&2']),
    ])
    expect(much.stdout.split('\n')).toHaveLength(300_001)
    expect(nothing).toMatchObject({ stdout: '', stderr: '' })
    expect(said).toMatchObject({ stdout: '12', stderr: '34' })
  })
})

describe('one that', () => {
  test.each([
    [
      'is missing',
      '/nowhere/iptables',
      [],
      'failed to execute /nowhere/iptables: No such file or directory',
      false,
    ],
    [
      'is missing in PATH',
      'no-such-iptables',
      [],
      'failed to execute no-such-iptables: No such file or directory',
      false,
    ],
    ['fails', 'sh', ['-c', 'echo no memory >&2; exit 4'], 'exit status 4: no memory', false],
    ['ends with a number', 'sh', ['-c', 'echo 0 >&2; exit 2'], 'exit status 2: 0', false],
    ['is killed by somebody', 'sh', ['-c', 'kill -9 $$'], 'exit status 137: Killed', true],
  ])('%s takes no other with it', async (_, program, args, complaint, wasKilled) => {
    const { exec, failed } = create()
    const [broken, sound] = await Promise.allSettled([exec(program, args), exec('echo', ['sound'])])
    expect(sound).toMatchObject({ value: { stdout: 'sound\n' } })
    expect(broken).toMatchObject({ reason: { wasKilled, name: 'CommandError' } })
    expect(String(broken.status === 'rejected' && broken.reason)).toContain(
      `running ${program}: ${complaint}`,
    )
    expect(failed).toEqual([program])
  })

  // Each would hang for longer than a test may take.
  test.each([
    ['hangs', 'exec sleep 600'],
    ['has a child that hangs, and holds the pipes', 'sleep 600; true'],
    ['does not listen to SIGTERM', "trap '' TERM; sleep 600; sleep 600"],
    ['has sent its child out of reach', 'setsid sleep 20'],
  ])('%s holds up no other, and is killed', async (_, script) => {
    const { exec, failed } = create(1_500)
    const program = await write('hangs', script)
    const hanging = exec(program, []).catch((caught: unknown) => caught)
    const order: string[] = []
    const sound = exec('echo', ['sound']).then(() => order.push('sound'))
    void hanging.then(() => order.push('hanging'))
    await sound
    const error = await hanging
    expect(order).toEqual(['sound', 'hanging'])
    expect(error).toBeInstanceOf(CommandError)
    expect(String(error)).toContain(`running ${program}: no end after 1.5 s`)
    expect(failed).toEqual([program])
  })
})

test('where the network namespace cannot be entered all of them say why', async () => {
  const nowhere = 2 ** 22
  const exec = createExecTogether(nowhere, createExec(nowhere))
  const results = await Promise.allSettled([exec('true', []), exec('echo', [])])
  for (const result of results)
    expect(String(result.status === 'rejected' && result.reason)).toContain('nsenter')
})

test('one that is asked for alone needs no shell', async () => {
  const { exec } = create()
  const { stdout } = await exec('sh', ['-c', 'echo $PPID'])
  expect(stdout).toBe(`${process.pid}\n`)
})
