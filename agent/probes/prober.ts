import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../cluster/clock.ts'
import { messageOf, OutsideError } from '../errors.ts'
import { ProbeError } from './probe-error.ts'
import type { Probe, ProbeResult } from './probe.ts'

/** Runs sets of probes, all of a set side by side. Never rejects for what probes do; results are in their order. */
export type Prober = {
  /** Runs each once. One that has not answered after 10 s, or when `signal` aborts, has failed. */
  readonly before: (probes: readonly Probe[], signal: AbortSignal) => Promise<readonly ProbeResult[]>
  /**
   * Repeats each until it passes. Resolves as soon as all have, or when `time` is over: then with the last reason of
   * those that have not, and one still under way counts as failed. However little time there is, each is tried once, for
   * up to 5 s. `off` ends it at once.
   */
  readonly after: (
    probes: readonly Probe[],
    time: AbortSignal,
    off?: AbortSignal,
  ) => Promise<readonly ProbeResult[]>
}

const beforeLimitMs = 10_000
const firstAttemptMs = 5_000
const firstPauseMs = 100
const longestPauseMs = 2_000

export function createProber(clock: Pick<Clock, 'wait' | 'now'>): Prober {
  return {
    before: async (probes, signal) =>
      Promise.all(probes.map(async (probe) => resultOf(probe, await tryOnce(probe, clock, signal)))),
    after: async (probes, time, off = new AbortController().signal) =>
      Promise.all(
        probes.map(async (probe) => resultOf(probe, await tryUntilPassed(probe, clock, time, off))),
      ),
  }
}

function resultOf({ name }: Probe, failure: string | undefined): ProbeResult {
  return failure === undefined ? { name } : { name, failure }
}

async function tryOnce(
  probe: Probe,
  clock: Pick<Clock, 'wait' | 'now'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limit = async (ended: AbortSignal) => clock.wait(beforeLimitMs, ended)
  const outcome = await tryBefore(probe.before, signal, limit)
  if ('over' in outcome) {
    return signal.aborted
      ? 'called off before there was an answer'
      : `no answer within ${beforeLimitMs / 1000} s`
  }
  return outcome.failure
}

async function tryUntilPassed(
  probe: Probe,
  clock: Pick<Clock, 'wait' | 'now'>,
  time: AbortSignal,
  off: AbortSignal,
): Promise<string | undefined> {
  const signal = AbortSignal.any([time, off])
  let outcome = await tryFirst(probe, clock, time, off)
  let failure: string | undefined
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    if ('over' in outcome) {
      const earlier = failure === undefined ? '' : `; the attempt before: ${failure}`
      return `still under way when the time was over${outcome.over}${earlier}`
    }
    failure = outcome.failure
    if (failure === undefined) return undefined
    await clock.wait(pauseMs, signal)
    if (signal.aborted) return failure
    outcome = await tryBefore(probe.after, signal)
  }
}

/** What waits before the probes, and a machine that is busy, may have left no time: that is no fault of the change. */
async function tryFirst(
  probe: Probe,
  clock: Pick<Clock, 'wait' | 'now'>,
  time: AbortSignal,
  off: AbortSignal,
): Promise<Outcome> {
  const began = clock.now()
  const limit = async (ended: AbortSignal) => {
    await aborted(time, ended)
    const left = began + firstAttemptMs - clock.now()
    if (left > 0 && !ended.aborted) await clock.wait(left, ended)
  }
  return tryBefore(probe.after, off, limit)
}

/** Resolves when a signal aborts; when `ended` does it is of no interest any more. */
async function aborted(signal: AbortSignal, ended: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { signal: ended }))
}

/**
 * Makes one attempt, until `signal` aborts or `limit` resolves, whichever is first. Its own signal aborts at the end,
 * and nothing waits for it any longer then.
 */
async function tryBefore(
  attempt: Probe['after'],
  signal: AbortSignal,
  limit?: (ended: AbortSignal) => Promise<void>,
): Promise<Outcome> {
  if (signal.aborted) return { over: '' }
  const own = new AbortController()
  const over = new Promise<'over'>((resolve) => {
    signal.addEventListener('abort', () => resolve('over'), { signal: own.signal })
    void limit?.(own.signal).then(() => resolve('over'))
  })
  const tried = (async () => attempt(own.signal))().then(
    () => ({ failure: undefined, error: undefined }),
    (error: unknown) => ({ failure: messageOf(error), error }),
  )
  const first = await Promise.race([over, tried])
  own.abort()
  if (first !== 'over') return first
  // Who listens to its signal may say what it was waiting for.
  const last = await Promise.race([tried, turns()])
  const isTelling = last?.error instanceof OutsideError && !(last.error instanceof ProbeError)
  return { over: isTelling ? `: ${last.failure}` : '' }
}

/** How an attempt ended, or what is to be told of one that the end of time has cut short. */
type Outcome = { readonly failure: string | undefined } | { readonly over: string }

/** As long as it takes until what an aborted signal leads to has happened. */
async function turns(): Promise<undefined> {
  for (let turn = 0; turn < 5; turn += 1) await setImmediate()
}
