import { isExpected } from '../errors.ts'
import type { Backend } from '../netfilter/backend.ts'
import { countRules, countUncounted } from '../netfilter/rule-counters.ts'
import type { RuleCount } from '../netfilter/rule-counters.ts'
import type { Tables } from '../netfilter/tables.ts'
import type { Policy } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'

/** What the kernel's counters said. A family that could not be read is not there. */
export type Counters = {
  /** ms since the epoch */
  readonly readAt: number
  readonly families: ReadonlyMap<Family, readonly RuleCount[]>
  /** Families whose counters could not be read. */
  readonly failed: readonly Family[]
  /** Rules that are not counted. */
  readonly uncounted: number
}

export type InForce = {
  readonly backend: Backend
  readonly policy: Policy
  readonly families: readonly Family[]
}

export type CounterEffects = {
  readonly tables: Pick<Tables, 'read'>
  /** ms of a clock that nobody can set. */
  readonly elapsedMs: () => number
  readonly date: () => number
}

/** Reading 10,000 rules takes 0.1 s of CPU time: who asks more often gets what was read last. */
export const counterIntervalMs = 5_000

export type CounterReader = (inForce: InForce) => Promise<Counters>

/** Reads counters once for all that ask at the same time, or within a few seconds. */
export function createCounterReader({ tables, elapsedMs, date }: CounterEffects): CounterReader {
  let last: { at: number; inForce: InForce; reading: Promise<Counters> } | undefined
  const read = async ({ backend, policy, families }: InForce): Promise<Counters> => {
    const readAt = date()
    const outcomes = await Promise.all(
      families.map(async (family) => {
        try {
          return [family, countRules(await tables.read(backend, family), policy)] as const
        } catch (error) {
          if (!isExpected(error)) throw error
          return [family, undefined] as const
        }
      }),
    )
    return {
      readAt,
      families: new Map(outcomes.flatMap(([family, counts]) => (counts ? [[family, counts]] : []))),
      failed: outcomes.flatMap(([family, counts]) => (counts ? [] : [family])),
      uncounted: countUncounted(policy),
    }
  }
  return async (inForce) => {
    const isNew = last === undefined || !isSame(last.inForce, inForce)
    if (last === undefined || isNew || elapsedMs() - last.at >= counterIntervalMs) {
      last = { at: elapsedMs(), inForce, reading: read(inForce) }
    }
    return last.reading
  }
}

function isSame(a: InForce, b: InForce): boolean {
  return a.policy === b.policy && a.backend === b.backend && a.families.join() === b.families.join()
}
