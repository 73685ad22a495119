import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import { text } from 'node:stream/consumers'
import { codeOf, messageOf, OutsideError } from '../errors.ts'

/**
 * Where it is unless the user says otherwise: not in the state folder, whose disk may have become read-only. It must be
 * the host's file; a restart of the machine removes it.
 */
export const defaultLockPath = '/run/node-firewall.lock'

/** A lock that cannot be had: the file cannot be opened, or `flock` is missing or failed. */
export class LockError extends OutsideError {
  override readonly name = 'LockError'
}

export type Lock = { release(): Promise<void> }

export type LockOptions = {
  /** Ends the waiting: `acquireLock` then rejects with the reason of the signal. */
  readonly signal: AbortSignal
  /** Called once if somebody else has the lock, with what they say of themselves. */
  readonly onWait: (holder: string | undefined) => void
  /** What others are told while we have it. */
  readonly holder?: string
}

/**
 * Waits until no other process on this machine has the lock, whichever container or mount of the file it came by.
 *
 * A lock of flock(2) belongs to an open file, not to the process that asked for it. So flock(1) locks the file that it
 * inherits from us as its standard input, and ends; the lock is then ours alone, until the kernel closes our file,
 * which it does however we end. Nothing runs while the lock is held, and as no other child inherits the file, none can
 * keep it.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Lock> {
  const { signal, holder = `process ${process.pid}` } = options
  let waited = false
  const onWait = (other: string | undefined) => {
    if (!waited) options.onWait(other)
    waited = true
  }
  for (let times = 0; times < mostReplacements; times += 1) {
    signal.throwIfAborted()
    const file = openLock(path)
    try {
      await lock(file, path, { signal, onWait })
      if (isStillAt(path, file)) {
        introduce(file, holder)
        return { release: async () => release(file) }
      }
    } catch (error) {
      closeSync(file)
      throw error
    }
    closeSync(file)
  }
  throw new LockError(`locking ${path}: the file was replaced ${mostReplacements} times meanwhile`)
}

const mostReplacements = 10

/** A number, not a FileHandle: that would be closed, and the lock lost, when nobody refers to it any more. */
function openLock(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    throw new LockError(`locking ${path}: ${messageOf(error)}`, { cause: error })
  }
}

type Waiting = Pick<LockOptions, 'signal' | 'onWait'>

async function lock(file: number, path: string, { signal, onWait }: Waiting): Promise<void> {
  if (await flock(file, path, ['--nonblock'], signal)) return
  onWait(readHolder(file))
  while (!(await flock(file, path, ['--timeout', '60'], signal)));
}

/** The status that flock(1) is asked for when somebody else has the lock. */
const conflict = 75

async function flock(
  file: number,
  path: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  // Should we be killed while it waits, it is killed too (PR_SET_PDEATHSIG in prctl(2)).
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'flock', '--conflict-exit-code', String(conflict), ...args, '0'],
    { env: { ...process.env, LC_ALL: 'C' }, signal, stdio: [file, 'ignore', 'pipe'] },
  )
  try {
    const complaining = child.stderr === null ? '' : text(child.stderr)
    const [complaint, [status]] = await Promise.all([complaining, once(child, 'close')])
    if (status === 0) return true
    if (status === conflict) return false
    throw new LockError(`locking ${path} with flock: ${complaint.trim() || `exit status ${status}`}`)
  } catch (error) {
    signal.throwIfAborted()
    if (codeOf(error) === undefined) throw error
    throw new LockError(`locking ${path} with flock: ${messageOf(error)}`, { cause: error })
  }
}

/** The file may have been removed while we waited, and then another agent locks the one that took its place. */
function isStillAt(path: string, file: number): boolean {
  const [ours, there] = [fstatSync(file), statSync(path, { throwIfNoEntry: false })]
  return ours.ino === there?.ino && ours.dev === there.dev
}

function readHolder(file: number): string | undefined {
  const buffer = Buffer.alloc(200)
  const bytes = readSync(file, buffer, 0, buffer.length, 0)
  return /^[\x20-\x7e]+/.exec(buffer.toString('latin1', 0, bytes))?.[0]
}

/** Only a courtesy: a full disk must not keep us from having the lock. */
function introduce(file: number, holder: string): void {
  try {
    ftruncateSync(file)
    writeSync(file, `${holder}\n`, 0)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
  }
}

/** The name goes first: whoever comes next shall not be told of us. */
function release(file: number): void {
  ftruncateSync(file)
  closeSync(file)
}
