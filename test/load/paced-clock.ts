import type { Clock } from '../../agent/cluster/clock.ts'

/** A clock that goes faster, or slower, than the machine's: an hour of a fleet need not take an hour. */
export type PacedClock = Clock & {
  /** Calls back after so many of its ms, until the function it returns is called. */
  after(ms: number, callback: () => void): () => void
  /** Aborts after so many of its ms. */
  timeout(ms: number): AbortSignal
  /** From now on it goes so many times as fast as the machine's; what is waited for comes accordingly. */
  setPace(pace: number): void
}

type Alarm = { readonly due: number; readonly ring: () => void; timer?: NodeJS.Timeout }

export function createPacedClock(random: () => number, pace = 1): PacedClock {
  const bornAt = Date.now()
  const alarms = new Set<Alarm>()
  let [setAt, counted] = [performance.now(), 0]
  const now = () => counted + (performance.now() - setAt) * pace
  const arm = (alarm: Alarm) => {
    clearTimeout(alarm.timer)
    alarm.timer = setTimeout(
      () => {
        alarms.delete(alarm)
        alarm.ring()
      },
      Math.max(0, (alarm.due - now()) / pace),
    )
  }
  const after = (ms: number, ring: () => void) => {
    const alarm: Alarm = { due: now() + ms, ring }
    alarms.add(alarm)
    arm(alarm)
    return () => {
      clearTimeout(alarm.timer)
      alarms.delete(alarm)
    }
  }
  return {
    now,
    date: () => bornAt + now(),
    random,
    after,
    timeout(ms) {
      const controller = new AbortController()
      after(ms, () => controller.abort())
      return controller.signal
    },
    wait: async (ms, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve()
        const end = () => {
          cancel()
          signal.removeEventListener('abort', end)
          resolve()
        }
        const cancel = after(ms, end)
        signal.addEventListener('abort', end)
      }),
    setPace(next) {
      counted = now()
      setAt = performance.now()
      pace = next
      for (const alarm of alarms) arm(alarm)
    },
  }
}
