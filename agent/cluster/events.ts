import { backoffMs } from '../backoff.ts'
import { connectClient } from './api-client.ts'
import type { ConnectOptions } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { createBudget } from '../budget.ts'
import { realClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { createEventQueue } from './event-queue.ts'
import type { NodeEvent } from './event-queue.ts'
import { createEventSender } from './send-event.ts'
import type { EventSource } from './send-event.ts'

export type { NodeEvent } from './event-queue.ts'

/** Kubernetes Events about the own Node. */
export type Events = {
  /** Returns at once and never throws: the event is sent as soon as the API server and the budget admit it. */
  emit(event: NodeEvent): void
  /** For the end of the process: sends what waits, for so many ms at most, and then nothing more. */
  flush(ms?: number): Promise<void>
}

export type EventsOptions = ConnectOptions &
  Omit<EventSource, 'reportingController'> & {
    readonly reportingController?: string
    readonly clock?: Clock
    /** A failure that may pass, or an event that is refused for good. Reported once until its kind changes. */
    readonly onError: (error: ApiError) => void
    /** Called after each attempt to send one. */
    readonly onAttempt?: (result: 'success' | 'error') => void
  }

/**
 * So many requests at once, then one a minute: if all of 5,000 nodes keep on telling, 83 a second reach the API
 * servers, next to 500 renewals of Leases. What exceeds it waits, repetitions as one.
 */
export const eventBudget = { burst: 10, everyMs: 60_000 }

/** What waits is bounded; the newest is worth more. */
export const eventQueueSize = 20

/** Tells of the Node in Events: each once, repetitions as a count, and late rather than never. */
export function createEvents(options: EventsOptions): Events {
  const { clock = realClock, reportingController = 'node-firewall', onError, onAttempt } = options
  const queue = createEventQueue(eventQueueSize)
  const budget = createBudget(eventBudget)
  const sendEvent = createEventSender(connectClient(options), { ...options, reportingController })
  const end = new AbortController()
  let pause = new AbortController()
  let sending: Promise<void> | undefined
  let flushing = false
  let reported: string | undefined

  const rest = async (ms: number) => {
    pause = new AbortController()
    if (!end.signal.aborted) await clock.wait(ms, AbortSignal.any([pause.signal, end.signal]))
  }
  const report = (error: ApiError) => {
    if (error.kind !== reported) onError(error)
    reported = error.kind
  }
  const sendAll = async () => {
    let failures = 0
    while (!queue.isEmpty() && !end.signal.aborted) {
      const waitMs = budget.take(clock.now())
      if (waitMs > 0) {
        if (flushing) return
        await rest(waitMs)
        continue
      }
      const pending = queue.take()
      if (pending === undefined) return
      try {
        await sendEvent(pending, end.signal)
        onAttempt?.('success')
        failures = 0
        reported = undefined
      } catch (error) {
        if (end.signal.aborted) return
        // Whatever is no ApiError is a bug, and must not be retried in silence.
        if (!(error instanceof ApiError)) throw error
        onAttempt?.('error')
        report(error)
        if (isFinal(error)) continue
        queue.putBack(pending)
        budget.giveBack()
        failures += 1
        await rest(retryMs(error, failures, clock.random()))
      }
    }
  }
  const start = () => {
    sending ??= sendAll().finally(() => {
      sending = undefined
      if (!queue.isEmpty() && !flushing) start()
    })
  }

  return {
    emit(event) {
      if (end.signal.aborted) return
      queue.add(event, clock.date())
      start()
    },
    async flush(ms = 2000) {
      flushing = true
      pause.abort()
      const limit = new AbortController()
      await Promise.race([sending, clock.wait(ms, limit.signal)])
      limit.abort()
      end.abort()
      await sending
    },
  }
}

/** The event itself is refused, and will be again. */
function isFinal({ status }: ApiError): boolean {
  return status === 400 || status === 413 || status === 415 || status === 422
}

/** A right that is missing is given by people: thousands of nodes need not ask for it twice a minute. */
function retryMs(error: ApiError, failures: number, random: number): number {
  const { retryAfterSeconds, status } = error
  return backoffMs(failures, random, { retryAfterSeconds, longestMs: status === 403 ? 300_000 : 30_000 })
}
