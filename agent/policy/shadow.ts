import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import type { Problem } from '../ruleset/problem.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { AddressSource, Rule, Ruleset } from '../ruleset/ruleset.ts'
import { coversMatch } from './shadow-covers.ts'
import { decides } from './verdict.ts'
import { toSymbolic } from './symbolic.ts'
import type { SymbolicAddresses, SymbolicRule } from './symbolic.ts'

/** A rule that can never match, where it stands, and why. */
export type DeadRule = Pick<Problem, 'path' | 'line' | 'column'> & {
  readonly ruleset: string
  readonly rule: string
  readonly reason: string
  /** The rule before it that matches all that it would. */
  readonly by?: { readonly ruleset: string; readonly rule: string }
}

type Cause = Pick<DeadRule, 'reason' | 'by'>
type Place = {
  readonly ruleset: Ruleset
  readonly rule: Rule
  readonly index: number
  readonly meaning: SymbolicRule
}

/**
 * Finds rules that can never match on any node: expired, about nobody, or behind one rule that matches all they
 * would. It tells only what is certain: the sets of the cluster may hold anything.
 *
 * @param rulesets in order of evaluation
 * @param now ms since the epoch
 */
export function findDeadRules(rulesets: readonly Ruleset[], now: number): readonly DeadRule[] {
  const places = rulesets.flatMap((ruleset) =>
    ruleset.rules.map((rule, index) => ({ ruleset, rule, index, meaning: toSymbolic(rule, ruleset) })),
  )
  return places.flatMap((place, index) => {
    const cause = expiry(place, now) ?? emptiness(place) ?? cover(place, places.slice(0, index), now)
    if (cause === undefined) return []
    const { ruleset, rule } = place
    return [{ ruleset: ruleset.name, rule: rule.name, ...positionOf(place), ...cause }]
  })
}

function expiry({ rule: { expiresAt } }: Place, now: number): Cause | undefined {
  if (expiresAt === undefined || expiresAt > now) return undefined
  return { reason: `it expired at ${new Date(expiresAt).toISOString()}` }
}

function emptiness({ rule, meaning }: Place): Cause | undefined {
  for (const key of ['from', 'to'] as const) {
    if (!families.some((family) => holdsAny(meaning[key], family))) {
      const members = rule[key]?.map(nameOf).join(', ')
      return { reason: `its "${key}" is empty (${members}), so that it matches nobody` }
    }
  }
  return familiesOf(meaning).length > 0
    ? undefined
    : { reason: 'its protocol, from and to have no family of addresses in common' }
}

function cover(inner: Place, earlier: readonly Place[], now: number): Cause | undefined {
  const own = familiesOf(inner.meaning)
  const outer = earlier.find(
    (place) => decidesFor(place, inner, now) && coversMatch(place.meaning, inner.meaning, own),
  )
  if (outer === undefined) return undefined
  const { path, line } = positionOf(outer)
  const reason = `the rule "${outer.rule.name}" (${path}:${line}) comes first and matches all that it would`
  return { reason, by: { ruleset: outer.ruleset.name, rule: outer.rule.name } }
}

/** Whether what the outer rule matches never gets to the inner one, as long as that stands. */
function decidesFor(outer: Place, inner: Place, now: number): boolean {
  const { rule, ruleset } = outer
  if (rule.flow !== inner.rule.flow || !decides(rule)) return false
  const isSame = ruleset === inner.ruleset
  if (ruleset.mode === 'audit' && !isSame) return false
  const { expiresAt } = rule
  if (expiresAt !== undefined && (expiresAt <= now || expiresAt < (inner.rule.expiresAt ?? Infinity)))
    return false
  // Whether two selectors ever meet on a node cannot be told here.
  const { nodeSelector } = ruleset
  return isSame || nodeSelector === undefined || sameText(nodeSelector, inner.ruleset.nodeSelector)
}

/** Families in which a rule can match at all. */
function familiesOf({ rule, from, to }: SymbolicRule): readonly Family[] {
  return families.filter((family) => {
    const foreign = family === 'ipv4' ? protocolNumbers.icmpv6 : protocolNumbers.icmp
    const hasTypes = rule.icmpTypes === undefined || rule.icmpTypes[family].length > 0
    const hasProtocol = rule.protocols.length === 0 || rule.protocols.some((protocol) => protocol !== foreign)
    return hasTypes && hasProtocol && holdsAny(from, family) && holdsAny(to, family)
  })
}

function holdsAny({ cidrs, sets }: SymbolicAddresses, family: Family): boolean {
  return sets.length > 0 || cidrs.some((cidr) => cidr.family === family)
}

function positionOf({ ruleset, index }: Place): Pick<Problem, 'path' | 'line' | 'column'> {
  return { path: ruleset.path, ...(ruleset.positions.rules[index] ?? ruleset.positions.name) }
}

function nameOf(source: AddressSource): string {
  return 'set' in source ? source.set : source.address
}

function sameText(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
