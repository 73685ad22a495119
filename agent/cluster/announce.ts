import type { Clock } from './clock.ts'

/** Tells of a value that is put together from parts: each distinct one once, and bursts of changes as one. */
export type Announcer = {
  /** A part may have changed. */
  readonly note: () => void
  /** Announces until `signal` aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

/** After an announcement the next one comes this much later at the earliest. */
const pauseMs = 250

export function createAnnouncer<T>(read: () => T, onChange: (value: T) => void, clock: Clock): Announcer {
  let last: string | undefined
  let noted = false
  let wake: (() => void) | undefined
  return {
    note() {
      noted = true
      wake?.()
    },
    async run(signal) {
      signal.addEventListener('abort', () => wake?.(), { once: true })
      while (!signal.aborted) {
        if (!noted) {
          await new Promise<void>((resolve) => (wake = resolve))
          continue
        }
        noted = false
        const value = read()
        const text = JSON.stringify(value)
        if (text === last) continue
        last = text
        onChange(value)
        await clock.wait(pauseMs, signal)
      }
    },
  }
}
