import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { codeOf, OutsideError } from '../errors.ts'

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

  constructor(message: string, { cause, wasKilled = false }: { cause?: unknown; wasKilled?: boolean } = {}) {
    super(message, cause === undefined ? {} : { cause })
    this.wasKilled = wasKilled
  }
}

export type ExecOptions = {
  /** What takes longer is killed, with all that it has started: 30 s. */
  readonly timeoutMs?: number
  /** Called with the number of each process that is started, and what it was asked to run. */
  readonly onStart?: (pid: number, program: string) => void
  /** Called with the name of each program that failed or took too long; not when it was told to stop. */
  readonly onFailure?: (program: string) => void
}

/** Nothing we run takes a second on a sound node; what takes this long hangs. */
export const defaultTimeoutMs = 30_000

/** How long what was killed may take to end: in a system call that hangs a process cannot even be killed. */
const dyingMs = 1_000

/** The process whose network namespace is meant; `self`: the one that this process is in already. */
export type TargetPid = number | 'self'

/**
 * Runs programs in the network namespace of a process: on a node pid 1, whose namespace is the host's.
 * The mount namespace stays the agent's own, so programs come from its image.
 */
export function createExec(targetPid: TargetPid, options: ExecOptions = {}): Exec {
  const { timeoutMs = defaultTimeoutMs, onStart, onFailure } = options
  return async (program, args, { input, signal } = {}) => {
    const { file, args: all } = inNetworkOf(targetPid, program, args)
    // What reads its input may change the kernel.
    const [first, ...rest] = [...(input === undefined ? [] : await mortal()), file, ...all]
    const child = execa(first ?? file, rest, {
      ...(input === undefined ? {} : { input }),
      ...(signal === undefined ? {} : { cancelSignal: signal }),
      env: { LC_ALL: 'C' },
      maxBuffer: 512 * 1024 * 1024,
      reject: false,
      stripFinalNewline: false,
      // A group of its own: what a wrapper script has started holds its pipes open after the script was killed.
      detached: true,
    })
    const { pid } = child
    if (pid !== undefined) onStart?.(pid, program)
    const result = await endInTime(child, pid, timeoutMs)
    if (result === undefined) {
      onFailure?.(program)
      throw new CommandError(`running ${program}: no end after ${timeoutMs / 1000} s`)
    }
    if (!result.failed) return result
    const { isCanceled, isTerminated } = result
    if (!isCanceled) onFailure?.(program)
    const wasKilled = isTerminated && !isCanceled
    throw new CommandError(`running ${program}: ${reasonOf(program, result)}`, { cause: result, wasKilled })
  }
}

let canBeMortal: Promise<readonly string[]> | undefined

/**
 * What has to stand before a program so that it is killed when we are (PR_SET_PDEATHSIG in prctl(2)): a restore that waits
 * for the xtables lock would otherwise put into the kernel what we wanted after the next agent has put there what it
 * wants. Nothing where there is no setpriv(1) of util-linux.
 */
async function mortal(): Promise<readonly string[]> {
  const command = ['setpriv', '--pdeathsig', 'KILL']
  canBeMortal ??= execa('setpriv', [...command.slice(1), 'true'], { reject: false }).then(({ failed }) =>
    failed ? [] : command,
  )
  return canBeMortal
}

/** Resolves to nothing when the time was over: then the process and those it has started are killed. */
async function endInTime<T>(child: Promise<T>, pid: number | undefined, ms: number): Promise<T | undefined> {
  const ended = new AbortController()
  let isOverdue = false
  const overdue = pause(ms, undefined, ended).then(
    () => (isOverdue = true),
    () => {},
  )
  try {
    await Promise.race([child, overdue])
    if (!isOverdue) return await child
    if (pid !== undefined) killGroup(pid)
    await Promise.race([child, pause(dyingMs, undefined, ended)])
    return undefined
  } finally {
    ended.abort()
  }
}

/** Ends a process that leads a group, with all that it has started. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

/** The command line that runs a program in the network namespace of a process, see nsenter(1). */
export function inNetworkOf(targetPid: TargetPid, program: string, args: readonly string[]) {
  if (targetPid === 'self') return { file: program, args }
  return { file: 'nsenter', args: ['--target', String(targetPid), '--net', '--', program, ...args] }
}

export type Failure = {
  readonly exitCode?: number | undefined
  readonly code?: string | undefined
  readonly shortMessage?: string | undefined
  readonly stderr: string
}

/** Why a program has failed, in words. */
export function reasonOf(program: string, { exitCode, code, shortMessage, stderr }: Failure): string {
  // nsenter(1) says the same where it is the one that looks for the program.
  if (code === 'ENOENT' || isNotFound(exitCode, stderr)) {
    return `failed to execute ${program}: No such file or directory`
  }
  const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const summary = said.slice(0, 3).join('; ')
  return exitCode === undefined
    ? (shortMessage ?? 'it could not be started')
    : `exit status ${exitCode}: ${summary}`
}

/** So says a shell. */
function isNotFound(exitCode: number | undefined, stderr: string): boolean {
  return exitCode === 127 && /^sh: .*: not found$/m.test(stderr)
}
