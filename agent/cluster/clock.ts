import { setTimeout as sleep } from 'node:timers/promises'

/** Time and chance, handed in so that tests decide on them. */
export type Clock = {
  /** ms of a clock that nobody can set: for how long something takes, or took. */
  readonly now: () => number
  /** ms since the epoch, as the clock of the machine says it is: for people, and to compare with what others wrote. */
  readonly date: () => number
  readonly random: () => number
  /** Resolves after `ms`, or at once when `signal` aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export const realClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  random: () => Math.random(),
  wait: async (ms, signal) => {
    await sleep(ms, undefined, { signal }).catch(() => {})
  },
}
