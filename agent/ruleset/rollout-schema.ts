import * as z from 'zod'
import type { Portion, Rollout } from './ruleset.ts'

const canariesExpected = { error: 'a number of nodes from 1 to 100' }
const thenExpected = { error: 'a share from "1%" to "100%" in quotes, or a number of nodes from 1 to 100000' }
const pauseExpected = { error: 'a time such as "30s", "5m" or "1h", a day at most' }

const percent = /^([1-9][0-9]?|100)%$/
const pause = /^(0|[1-9][0-9]{0,4})(s|m|h)$/
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }
const longestPauseMs = 86_400_000

export const rolloutSchema = z.strictObject(
  {
    canaries: z.int(canariesExpected).min(1, canariesExpected).max(100, canariesExpected).optional(),
    // It reads best so, and is no function: nothing that awaits takes it for a promise.
    // oxlint-disable-next-line unicorn/no-thenable
    then: z
      .union(
        [
          z.int(thenExpected).min(1, thenExpected).max(100_000, thenExpected),
          z.string().regex(percent, thenExpected),
        ],
        thenExpected,
      )
      .optional(),
    pause: z
      .string(pauseExpected)
      .regex(pause, pauseExpected)
      .refine((text) => !pause.test(text) || pauseMs(text) <= longestPauseMs, {
        error: 'found a pause of more than a day, expected "24h" at most',
      })
      .optional(),
  },
  { error: 'a map with canaries, then and pause' },
)

/** The value of `spec.rollout`; what it leaves out is one canary, then quarters of the fleet, 30 s apart. */
export function toRollout({
  canaries = 1,
  then = '25%',
  pause = '30s',
}: z.infer<typeof rolloutSchema>): Rollout {
  return { canaries, stage: portionOf(then), pauseMs: pauseMs(pause) }
}

function portionOf(then: number | string): Portion {
  return typeof then === 'number'
    ? { unit: 'nodes', amount: then }
    : { unit: 'percent', amount: Number(then.slice(0, -1)) }
}

function pauseMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? Number.NaN)
}
