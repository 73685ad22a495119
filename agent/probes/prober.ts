import type { Clock } from '../cluster/clock.ts'
import { messageOf } from '../errors.ts'
import type { Probe, ProbeResult } from './probe.ts'

/** Runs sets of probes, all of a set side by side. Never rejects for what probes do; results are in their order. */
export type Prober = {
  /** Runs each once. One that has not answered after 10 s, or when `signal` aborts, has failed. */
  readonly before: (probes: readonly Probe[], signal: AbortSignal) => Promise<readonly ProbeResult[]>
  /**
   * Repeats each until it passes. Resolves as soon as all have, or when `signal` aborts: then with the last reason of
   * those that have not, and one still under way counts as failed.
   */
  readonly after: (probes: readonly Probe[], signal: AbortSignal) => Promise<readonly ProbeResult[]>
}

const beforeLimitMs = 10_000
const firstPauseMs = 100
const longestPauseMs = 2_000

export function createProber(clock: Pick<Clock, 'wait'>): Prober {
  return {
    before: async (probes, signal) =>
      Promise.all(probes.map(async (probe) => resultOf(probe, await tryOnce(probe, clock, signal)))),
    after: async (probes, signal) =>
      Promise.all(probes.map(async (probe) => resultOf(probe, await tryUntilPassed(probe, clock, signal)))),
  }
}

function resultOf({ name }: Probe, failure: string | undefined): ProbeResult {
  return failure === undefined ? { name } : { name, failure }
}

async function tryOnce(
  probe: Probe,
  clock: Pick<Clock, 'wait'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limit = async (ended: AbortSignal) => clock.wait(beforeLimitMs, ended)
  const outcome = await tryBefore(probe.before, signal, limit)
  if (outcome === 'over') {
    return signal.aborted
      ? 'called off before there was an answer'
      : `no answer within ${beforeLimitMs / 1000} s`
  }
  return outcome.failure
}

async function tryUntilPassed(
  probe: Probe,
  clock: Pick<Clock, 'wait'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  let failure: string | undefined
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    const outcome = await tryBefore(probe.after, signal)
    if (outcome === 'over') {
      const earlier = failure === undefined ? '' : `; the attempt before: ${failure}`
      return `still under way when the time was over${earlier}`
    }
    failure = outcome.failure
    if (failure === undefined) return undefined
    await clock.wait(pauseMs, signal)
  }
  return failure ?? 'the time was over before the first attempt'
}

/**
 * Makes one attempt, until `signal` aborts or `limit` resolves, whichever is first. Its own signal aborts at the end,
 * and nothing waits for it any longer then.
 */
async function tryBefore(
  attempt: Probe['after'],
  signal: AbortSignal,
  limit?: (ended: AbortSignal) => Promise<void>,
): Promise<{ readonly failure: string | undefined } | 'over'> {
  if (signal.aborted) return 'over'
  const own = new AbortController()
  const over = new Promise<'over'>((resolve) => {
    signal.addEventListener('abort', () => resolve('over'), { signal: own.signal })
    void limit?.(own.signal).then(() => resolve('over'))
  })
  const tried = (async () => attempt(own.signal))().then(
    () => ({ failure: undefined }),
    (error: unknown) => ({ failure: messageOf(error) }),
  )
  try {
    return await Promise.race([over, tried])
  } finally {
    own.abort()
  }
}
