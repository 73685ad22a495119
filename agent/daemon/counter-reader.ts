import type { Clock } from '../cluster/clock.ts'
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
  readonly clock: Pick<Clock, 'now' | 'date' | 'wait'>
}

/** Reading 10,000 rules takes 0.1 s of CPU time: who asks more often gets what was read last. */
export const counterIntervalMs = 5_000

/** Prometheus waits for 10 s, and the rest of the page is worth having when a command hangs. */
export const counterPatienceMs = 4_000

export type CounterReader = (inForce: InForce) => Promise<Counters>

/**
 * Reads counters once for all that ask at the same time, or within a few seconds. While a reading hangs no other one is
 * begun, and who asks is told that it failed.
 */
export function createCounterReader({ tables, clock }: CounterEffects): CounterReader {
  let last: Reading | undefined
  const begin = (inForce: InForce): Reading => {
    const reading: Reading = { at: clock.now(), inForce, isOver: false, counters: read(inForce) }
    const end = () => void (reading.isOver = true)
    reading.counters.then(end, end)
    return reading
  }
  const read = async ({ backend, policy, families }: InForce): Promise<Counters> => {
    const readAt = clock.date()
    const outcomes = families.map(async (family) => {
      try {
        return { family, counts: countRules(await tables.read(backend, family), policy) }
      } catch (error) {
        if (!isExpected(error)) throw error
        return { family }
      }
    })
    return countersOf(await Promise.all(outcomes), readAt, policy)
  }
  return async (inForce) => {
    const isRecent = last !== undefined && clock.now() - last.at < counterIntervalMs
    const isSame = last !== undefined && sameRules(last.inForce, inForce)
    if (last === undefined || (last.isOver && !(isRecent && isSame))) last = begin(inForce)
    const nothing = countersOf(
      inForce.families.map((family) => ({ family })),
      clock.date(),
      inForce.policy,
    )
    if (!sameRules(last.inForce, inForce)) return nothing
    const patience = new AbortController()
    const late = clock.wait(counterPatienceMs, patience.signal).then(() => nothing)
    return Promise.race([last.counters, late]).finally(() => patience.abort())
  }
}

type Reading = {
  readonly at: number
  readonly inForce: InForce
  readonly counters: Promise<Counters>
  isOver: boolean
}

type Outcome = { readonly family: Family; readonly counts?: readonly RuleCount[] }

function countersOf(outcomes: readonly Outcome[], readAt: number, policy: Policy): Counters {
  return {
    readAt,
    families: new Map(outcomes.flatMap(({ family, counts }) => (counts ? [[family, counts]] : []))),
    failed: outcomes.flatMap(({ family, counts }) => (counts ? [] : [family])),
    uncounted: countUncounted(policy),
  }
}

function sameRules(a: InForce, b: InForce): boolean {
  return a.policy === b.policy && a.backend === b.backend && a.families.join() === b.families.join()
}
