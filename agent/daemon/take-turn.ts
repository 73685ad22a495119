import { setTimeout as pause } from 'node:timers/promises'
import { isExpected, messageOf } from '../errors.ts'
import { acquireLock } from '../host/lock.ts'
import type { Lock, LockOptions } from '../host/lock.ts'
import type { Logger } from '../telemetry/log.ts'

export type TurnOptions = {
  /** File on the host that lets one agent act at a time. */
  readonly lockFile: string | undefined
  /** The pod of this agent, for others who wait. */
  readonly pod: string | undefined
  readonly once: boolean
  readonly dryRun: boolean
}

export type TurnEffects = {
  readonly log: Logger
  readonly stop: AbortSignal
  readonly onWait: (reason: string) => void
}

export type Turn = {
  /** What is wrong with it now, each a sentence. */
  readonly problems: () => readonly string[]
  readonly release: () => Promise<void>
}

/** Who asks for a single pass wants an answer, also where an agent is at work all the time. */
const onceMs = 10_000

/** How often a lock that could not be asked for is tried again. */
const retryMs = 5_000

/**
 * Waits until no other agent is at work on this node: two of them, as when an old and a new pod overlap, would take
 * turns in undoing what the other has done. `undefined`: told to stop before. Where the lock cannot be asked for the agent
 * works all the same, says so, and goes on asking.
 */
export async function takeTurn(
  { lockFile, pod, once, dryRun }: TurnOptions,
  { log, stop, onWait }: TurnEffects,
): Promise<Turn | undefined> {
  const alone = { problems: () => [], release: async () => {} }
  if (dryRun || lockFile === undefined) return alone
  const holder = `${pod === undefined ? '' : `pod ${pod}, `}process ${process.pid}`
  const acquire: Acquire = async (waiting) => acquireLock(lockFile, { ...waiting, holder })
  try {
    const lock = await acquire({
      signal: once ? AbortSignal.any([stop, AbortSignal.timeout(onceMs)]) : stop,
      onWait(other) {
        const reason = `another agent is at work on this node: ${other ?? 'it does not say who'}`
        onWait(reason)
        log.warn({ lockFile }, `waiting, ${reason}`)
      },
    })
    return { problems: () => [], release: async () => lock.release() }
  } catch (error) {
    if (stop.aborted) return undefined
    if (once && isTimeout(error)) {
      log.error({ lockFile }, 'nothing was done: another agent is at work on this node')
      return undefined
    }
    if (!isExpected(error)) throw error
    log.error({ err: error }, unnoticed)
    return goOnAsking(acquire, error, log)
  }
}

type Acquire = (waiting: Pick<LockOptions, 'signal' | 'onWait'>) => Promise<Lock>

const unnoticed = 'two agents on this node would not notice each other'

function goOnAsking(acquire: Acquire, first: Error, log: Logger): Turn {
  const released = new AbortController()
  const { signal } = released
  let problems = [`${unnoticed}: ${first.message}`]
  const onWait = (other = 'it does not say who') =>
    void (problems = [
      `another agent is at work on this node too, and they may undo each other's work: ${other}`,
    ])

  const ask = async (): Promise<Lock | undefined> => {
    try {
      await pause(retryMs, undefined, { signal })
      const lock = await acquire({ signal, onWait })
      problems = []
      log.info('the lock is there now: another agent would wait for this one to end')
      return lock
    } catch (error) {
      if (signal.aborted) return undefined
      if (!isExpected(error)) throw error
      problems = [`${unnoticed}: ${messageOf(error)}`]
      return ask()
    }
  }
  const asking = ask()
  return {
    problems: () => problems,
    async release() {
      released.abort()
      await (await asking)?.release()
    },
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}
