import { OutsideError } from '../errors.ts'
import { execa } from 'execa'

/** Runs a program to its end; returns what it printed, and how many ms it took. */
export type Exec = (
  program: string,
  args: readonly string[],
  options?: { readonly input?: string; readonly signal?: AbortSignal },
) => Promise<{ readonly stdout: string; readonly stderr: string; readonly durationMs: number }>

/** A program that could not be started, failed, or took too long. */
export class CommandError extends OutsideError {
  override readonly name = 'CommandError'
  override readonly wasKilled: boolean

  constructor(message: string, { cause, wasKilled = false }: { cause: unknown; wasKilled?: boolean }) {
    super(message, { cause })
    this.wasKilled = wasKilled
  }
}

export type ExecOptions = {
  readonly timeoutMs?: number
  /** Called with the number of each process that is started. */
  readonly onStart?: (pid: number) => void
}

/** Nothing we run takes a second on a sound node; what takes this long hangs. */
const defaultTimeoutMs = 30_000

/**
 * Runs programs in the network namespace of a process: on a node pid 1, whose namespace is the host's.
 * The mount namespace stays the agent's own, so programs come from its image.
 */
export function createExec(targetPid: number, options: ExecOptions = {}): Exec {
  const { timeoutMs = defaultTimeoutMs, onStart } = options
  return async (program, args, { input, signal } = {}) => {
    const { file, args: all } = inNetworkOf(targetPid, program, args)
    const child = execa(file, all, {
      ...(input === undefined ? {} : { input }),
      ...(signal === undefined ? {} : { cancelSignal: signal }),
      env: { LC_ALL: 'C' },
      maxBuffer: 512 * 1024 * 1024,
      reject: false,
      stripFinalNewline: false,
      timeout: timeoutMs,
      forceKillAfterDelay: 1_000,
    })
    if (child.pid !== undefined) onStart?.(child.pid)
    const result = await child
    if (!result.failed) return result
    const { timedOut, isCanceled, isTerminated } = result
    const wasKilled = isTerminated && !timedOut && !isCanceled
    throw new CommandError(`running ${program}: ${reason(result, timeoutMs)}`, { cause: result, wasKilled })
  }
}

/** The command line that runs a program in the network namespace of a process, see nsenter(1). */
export function inNetworkOf(targetPid: number, program: string, args: readonly string[]) {
  return { file: 'nsenter', args: ['--target', String(targetPid), '--net', '--', program, ...args] }
}

type Failure = {
  readonly timedOut: boolean
  readonly exitCode?: number | undefined
  readonly shortMessage?: string | undefined
  readonly stderr: string
}

function reason({ timedOut, exitCode, shortMessage, stderr }: Failure, timeoutMs: number): string {
  if (timedOut) return `no end after ${timeoutMs / 1000} s`
  const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const summary = said.slice(0, 3).join('; ')
  return exitCode === undefined
    ? (shortMessage ?? 'it could not be started')
    : `exit status ${exitCode}: ${summary}`
}
