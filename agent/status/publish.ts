import { createBudget } from '../budget.ts'
import { backoffMs } from '../backoff.ts'
import { annotationPrefix, changedAnnotations, toAnnotations } from './annotations.ts'
import type { Annotations } from './annotations.ts'
import type { Status } from './status.ts'

export type PublishEffects = {
  /** Patches the own Node; `null` removes. */
  readonly patch: (changes: Annotations) => Promise<void>
  /** ms of a clock that nobody can set */
  readonly now: () => number
  /** ms since the epoch, as the machine has it */
  readonly date: () => number
  readonly timer: (ms: number, callback: () => void) => { cancel(): void }
  readonly random: () => number
  /** `again`: the attempt before has failed too. */
  readonly onError: (error: unknown, again: boolean) => void
}

export type Publisher = {
  /** Takes the newest status; writes what changed, as soon as the budget allows. */
  publish(status: Status): void
  /** What the Node carries according to the API server, so that it need not be written again. */
  seen(annotations: Readonly<Record<string, string>>): void
  /** Writes what is due at once, whatever the budget, and then stops. */
  flush(): Promise<void>
}

/**
 * `verified-at` alone is written no more often than this, and up to half of it later by chance: nodes that a change
 * of rules has brought into step fall out of it again. Steady nodes write nothing else.
 */
export const verifiedEveryMs = 10 * 60_000

/**
 * So many writes may come at once, and then one in a while: hundreds of changes a minute cost no more. That a change is
 * being tried is not worth the last ones: how it ends must not come late for it.
 */
export const writeBudget = { burst: 8, reserve: 4, everyMs: 30_000 }

/** A change that is confirmed sooner than this costs one write, as it was never said to be tried. */
export const confirmingMs = 3_000

/** How long the first write waits to hear what the Node carries already: a restart then writes nothing twice. */
const introductionMs = 10_000

/** A status is worth less than the server's breath: an outage of minutes is sat out. */
const longestRetryMs = 120_000

/** Keeps the annotations of the own Node at the newest status, within a budget of writes. */
export function createPublisher({ patch, now, date, timer, random, onError }: PublishEffects): Publisher {
  let published: Record<string, string | null> = {}
  let verifiedDueAt = 0
  let latest: Status | undefined
  let writing: Promise<void> | undefined
  let planned: { cancel(): void } | undefined
  /** Runs until the budget allows a write; the next status may be allowed one sooner. */
  let saving: { cancel(): void } | undefined
  let patience: { cancel(): void } | undefined
  let failures = 0
  const budget = createBudget(writeBudget)
  let introduced = false
  let closed = false

  const due = (): Annotations => {
    if (latest === undefined) return {}
    const wanted = toAnnotations(latest)
    return changedAnnotations(published, wanted, now() >= verifiedDueAt)
  }
  const write = async () => {
    const changes = due()
    if (Object.keys(changes).length === 0) return
    try {
      await patch(changes)
      published = { ...published, ...changes }
      if (`${annotationPrefix}verified-at` in changes) {
        verifiedDueAt = now() + verifiedEveryMs * (1 + random() / 2)
      }
      failures = 0
    } catch (error) {
      failures += 1
      onError(error, failures > 1)
      plan(
        backoffMs(failures, random(), { longestMs: longestRetryMs, retryAfterSeconds: retryAfterOf(error) }),
      )
    }
  }
  const plan = (ms: number) => {
    planned?.cancel()
    if (closed) return
    planned = timer(ms, () => {
      planned = undefined
      introduced = true
      advance()
    })
  }
  const endPatience = () => {
    patience?.cancel()
    patience = undefined
  }
  const advance = () => {
    if (closed || writing !== undefined || planned !== undefined || patience !== undefined) return
    saving?.cancel()
    if (Object.keys(due()).length === 0) return
    const wait = budget.take(now(), latest?.state === 'Confirming' ? writeBudget.reserve : 0)
    if (wait > 0) {
      saving = timer(wait, advance)
      return
    }
    writing = write().finally(() => {
      writing = undefined
      advance()
    })
  }
  return {
    publish(status) {
      const begins = status.state === 'Confirming' && latest?.state !== 'Confirming'
      latest = status
      if (status.state !== 'Confirming') endPatience()
      else if (begins)
        patience = timer(confirmingMs, () => {
          patience = undefined
          advance()
        })
      if (introduced) advance()
      else if (planned === undefined) plan(introductionMs)
    },
    seen(annotations) {
      if (!introduced) {
        introduced = true
        planned?.cancel()
        planned = undefined
        verifiedDueAt =
          now() + verifiedEveryMs - ageOf(annotations[`${annotationPrefix}verified-at`] ?? '', date())
      }
      const ours = Object.entries(annotations).filter(([key]) => key.startsWith(annotationPrefix))
      if (writing === undefined) published = Object.fromEntries(ours)
      advance()
    },
    async flush() {
      closed = true
      planned?.cancel()
      saving?.cancel()
      endPatience()
      await writing
      await write()
    },
  }
}

/** How many ms ago a time was. One that lies ahead was written before the clock was set back: it is as old as can be. */
function ageOf(time: string, now: number): number {
  const age = now - Date.parse(time)
  return age >= 0 ? age : Infinity
}

/** What the error of a server says of when to come back, if it does. */
function retryAfterOf(error: unknown): number {
  return error instanceof Error && 'retryAfterSeconds' in error ? Number(error.retryAfterSeconds ?? 0) : 0
}
