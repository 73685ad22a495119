import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../agent/cluster/clock.ts'
import { watchInFlight } from './in-flight.ts'

/**
 * A clock that stands still while a request is under way, and otherwise goes as fast as the machine can: an hour of a
 * fleet takes seconds, and a busy machine changes nothing of what is seen.
 */
export type FleetClock = Clock & {
  /** Calls back after so many of its ms, until the function it returns is called. */
  after(ms: number, callback: () => void): () => void
  /** Aborts after so many of its ms. */
  timeout(ms: number): AbortSignal
  /** Lets so many ms pass, in steps; and more, until `isDone`. */
  run(ms: number, stepMs: number, isDone?: () => boolean): Promise<void>
  stop(): void
}

type Alarm = { readonly due: number; readonly ring: () => void }

/** So many turns of the event loop without a request: what sockets carry has arrived, and what follows has begun. */
const calmTurns = 10

/** Whoever waits for longer waits for what never comes. */
const longestMs = 2 * 3_600_000

export function createFleetClock(random: () => number): FleetClock {
  const bornAt = Date.now()
  const alarms = new Set<Alarm>()
  const inFlight = watchInFlight()
  let now = 0
  const after = (ms: number, ring: () => void) => {
    const alarm = { due: now + ms, ring }
    alarms.add(alarm)
    return () => void alarms.delete(alarm)
  }
  const calm = async () => {
    for (let turns = 0; turns < calmTurns; turns += 1) {
      await setImmediate()
      if (inFlight.count() > 0) turns = 0
    }
  }
  return {
    now: () => now,
    date: () => bornAt + now,
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
    async run(ms, stepMs, isDone = () => true) {
      const startedAt = now
      await calm()
      while (now - startedAt < ms || !isDone()) {
        if (now - startedAt > longestMs) throw new Error('what is waited for does not come')
        now += stepMs
        const due = [...alarms].filter((alarm) => alarm.due <= now).toSorted((a, b) => a.due - b.due)
        for (const alarm of due) if (alarms.delete(alarm)) alarm.ring()
        if (due.length > 0) await calm()
      }
    },
    stop: inFlight.stop,
  }
}
