import { isExpected, messageOf } from '../errors.ts'
import { acquireLock } from '../host/lock.ts'
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

export type Turn = { readonly problems: readonly string[]; readonly release: () => Promise<void> }

/** Who asks for a single pass wants an answer, also where an agent is at work all the time. */
const onceMs = 10_000

/**
 * Waits until no other agent is at work on this node: two of them, as when an old and a new pod overlap, would take
 * turns in undoing what the other has done. `undefined`: told to stop before. Without a lock the agent works all the
 * same, and says so.
 */
export async function takeTurn(
  { lockFile, pod, once, dryRun }: TurnOptions,
  { log, stop, onWait }: TurnEffects,
): Promise<Turn | undefined> {
  const alone = { problems: [], release: async () => {} }
  if (dryRun || lockFile === undefined) return alone
  try {
    const lock = await acquireLock(lockFile, {
      signal: once ? AbortSignal.any([stop, AbortSignal.timeout(onceMs)]) : stop,
      onWait(holder) {
        const reason = `another agent is at work on this node: ${holder ?? 'it does not say who'}`
        onWait(reason)
        log.warn({ lockFile }, `waiting, ${reason}`)
      },
      holder: `${pod === undefined ? '' : `pod ${pod}, `}process ${process.pid}`,
    })
    return { problems: [], release: async () => lock.release() }
  } catch (error) {
    if (stop.aborted) return undefined
    if (once && isTimeout(error)) {
      log.error({ lockFile }, 'nothing was done: another agent is at work on this node')
      return undefined
    }
    if (!isExpected(error)) throw error
    log.error({ err: error }, 'two agents on this node would not notice each other')
    return {
      ...alone,
      problems: [`two agents on this node would not notice each other: ${messageOf(error)}`],
    }
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}
