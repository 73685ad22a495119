import { backoffMs } from '../backoff.ts'
import { ApiError } from './api-error.ts'
import type { Clock } from './clock.ts'

export type RepeatOptions = {
  readonly clock: Clock
  /** An attempt that failed, once per change of kind. */
  readonly onError: (error: ApiError) => void
}

/**
 * Makes an attempt again and again, after as many ms as the last one asks for; ends when it asks for none, or when
 * `signal` aborts. After a failure the wait grows, with jitter. Whatever is no `ApiError` is a bug and comes through.
 */
export async function repeat(
  attempt: (signal: AbortSignal) => Promise<number | undefined>,
  { clock, onError }: RepeatOptions,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  let reported: string | undefined
  while (!signal.aborted) {
    try {
      const waitMs = await attempt(signal)
      if (waitMs === undefined) return
      failures = 0
      reported = undefined
      await clock.wait(waitMs, signal)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof ApiError)) throw error
      failures += 1
      if (error.kind !== reported) onError(error)
      reported = error.kind
      const { retryAfterSeconds } = error
      await clock.wait(backoffMs(failures, clock.random(), { retryAfterSeconds }), signal)
    }
  }
}
