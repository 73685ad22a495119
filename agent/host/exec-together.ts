import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { execa } from 'execa'
import { CommandError, defaultTimeoutMs, inNetworkOf, killGroup, reasonOf } from './exec.ts'
import type { Exec, ExecOptions, Failure, TargetPid } from './exec.ts'

/** A shell redirects file descriptors of one digit, and each program takes two from 3 on. */
const mostTogether = 3

type Asked = {
  readonly program: string
  readonly args: readonly string[]
  readonly resolve: (result: Awaited<ReturnType<Exec>>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Runs programs that only read in the network namespace of a process, see `createExec`. Those that are asked for at the
 * same time run side by side under one shell: to start a process costs us ms, as fork(2) copies the page tables of a
 * process of our size, and a shell next to nothing. None waits for another, and none fails with it.
 *
 * @param alone runs one that nobody else is asked for with
 */
export function createExecTogether(targetPid: TargetPid, alone: Exec, options: ExecOptions = {}): Exec {
  let asked: Asked[] = []
  const start = () => {
    const all = asked
    asked = []
    for (let at = 0; at < all.length; at += mostTogether) {
      const some = all.slice(at, at + mostTogether)
      const [first, ...others] = some
      if (first === undefined) continue
      if (others.length > 0) void runTogether(targetPid, some, options)
      else alone(first.program, first.args).then(first.resolve, first.reject)
    }
  }
  return async (program, args) =>
    new Promise((resolve, reject) => {
      if (asked.length === 0) setImmediate(start)
      asked.push({ program, args, resolve, reject })
    })
}

async function runTogether(
  targetPid: TargetPid,
  asked: readonly Asked[],
  { timeoutMs = defaultTimeoutMs, onStart, onFailure }: ExecOptions,
): Promise<void> {
  const { file, args } = inNetworkOf(targetPid, 'sh', ['-c', scriptOf(asked)])
  const startedAt = performance.now()
  const pipes = asked.flatMap(() => ['pipe', 'pipe'] as const)
  const child = execa(file, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...pipes],
    env: { LC_ALL: 'C' },
    buffer: false,
    reject: false,
    // A group of its own: who hangs holds the shell up, which waits for him.
    detached: true,
  })
  const { pid, stdio } = child
  let isOverdue = false
  const timer = setTimeout(() => {
    isOverdue = true
    if (pid !== undefined) killGroup(pid)
    for (const stream of stdio) stream?.destroy()
  }, timeoutMs)
  const complaint = readAll(child.stderr)
  /** Where a program has told no status, it is the shell that was not started, or was killed. */
  const failureOf = async (exitCode: number | undefined, stderr: string): Promise<Failure> => {
    if (exitCode !== undefined) return { exitCode, stderr }
    const { code, shortMessage, exitCode: ofShell } = await child
    return { exitCode: ofShell, code, shortMessage, stderr: await complaint }
  }
  const endings = asked.map(async ({ program, resolve, reject }, index) => {
    if (pid !== undefined) onStart?.(pid, program)
    const [out, said] = await Promise.all([stdio[3 + 2 * index], stdio[4 + 2 * index]].map(readAll))
    const { status, stderr } = endOf(said ?? '')
    if (status === 0 && !isOverdue) {
      resolve({ stdout: out ?? '', stderr, durationMs: performance.now() - startedAt })
      return
    }
    onFailure?.(program)
    const why = isOverdue
      ? `no end after ${timeoutMs / 1000} s`
      : reasonOf(program, await failureOf(status, stderr))
    const wasKilled = !isOverdue && (status === undefined || status > signalled)
    reject(new CommandError(`running ${program}: ${why}`, { wasKilled }))
  })
  await Promise.all([child, ...endings])
  clearTimeout(timer)
}

/** What a shell adds to the number of the signal that has ended a program. */
const signalled = 128

/** Each has its own two of the descriptors and no other, so that each of them ends when its program does. */
function scriptOf(asked: readonly Asked[]): string {
  const closeAll = asked.map((_, index) => `${3 + 2 * index}>&- ${4 + 2 * index}>&-`).join(' ')
  const starts = asked.map(({ program, args }, index) => {
    const line = [program, ...args].map(quote).join(' ')
    const end = `printf '\\n%s\\n' "$?" >&2`
    return `{ ${line}; ${end}; } >&${3 + 2 * index} 2>&${4 + 2 * index} ${closeAll} &`
  })
  return [...starts, `exec ${closeAll}`, 'wait'].join('\n')
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

async function readAll(stream: unknown): Promise<string> {
  return isReadable(stream) ? text(stream).catch(() => '') : ''
}

function isReadable(stream: unknown): stream is Readable {
  return typeof stream === 'object' && stream !== null && 'readable' in stream
}

/** The last line of what was said is the exit status, unless the shell was killed before it. */
function endOf(said: string): { readonly status: number | undefined; readonly stderr: string } {
  const { stderr = said, status } = /^(?<stderr>[^]*)\n(?<status>\d+)\n$/.exec(said)?.groups ?? {}
  return { status: status === undefined ? undefined : Number(status), stderr }
}
