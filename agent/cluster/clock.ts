import { setTimeout as sleep } from 'node:timers/promises'

/** Time and chance, handed in so that tests decide on them. */
export type Clock = {
  readonly now: () => number
  readonly random: () => number
  /** Resolves after `ms`, or at once when `signal` aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export const realClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  wait: async (ms, signal) => {
    await sleep(ms, undefined, { signal }).catch(() => {})
  },
}
