import { attemptWithin } from './attempt.ts'
import type { Probe } from './probe.ts'

/** A probe that does the same before a change as after it, and takes `timeoutMs` for an attempt at the most. */
export function simpleProbe(
  name: string,
  timeoutMs: number,
  attempt: (signal: AbortSignal) => Promise<void>,
): Probe {
  const bounded = async (signal: AbortSignal) => attemptWithin(timeoutMs, signal, attempt)
  return { name, before: bounded, after: bounded }
}
