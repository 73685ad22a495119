import { backoffMs } from '../backoff.ts'
import { isExpected } from '../errors.ts'
import type { RolloutClock } from './gate.ts'

export type WriterOptions = {
  readonly write: (text: string, signal: AbortSignal) => Promise<void>
  readonly clock: RolloutClock
  readonly signal: AbortSignal
}

/** Writes the annotation of the own Node, one text after the other, never two at a time. */
export type Writer = {
  /** Resolves when the API server has taken it; rejects when this one attempt failed. */
  readonly say: (text: string) => Promise<void>
  /** Tries until it is written, or something else is said. */
  readonly insist: (text: string) => void
}

export function createWriter({ write, clock, signal }: WriterOptions): Writer {
  let last: Promise<void> = Promise.resolve()
  // What was said last; an object, so that each saying is its own.
  let latest: { readonly text: string } | undefined

  const enqueue = async (text: string) => {
    const before = last
    const attempt = async () => {
      await before.catch(() => {})
      await write(text, signal)
    }
    last = attempt()
    return last
  }
  const keepTrying = async (said: { readonly text: string }) => {
    const isLatest = () => latest === said && !signal.aborted
    for (let failures = 1; isLatest(); failures += 1) {
      try {
        return await enqueue(said.text)
      } catch (error) {
        if (signal.aborted) return
        if (!isExpected(error)) throw error
        await clock.wait(backoffMs(failures, clock.random()), signal)
      }
    }
  }
  return {
    async say(text) {
      latest = { text }
      await enqueue(text)
    },
    insist(text) {
      if (latest?.text === text) return
      latest = { text }
      void keepTrying(latest)
    },
  }
}
