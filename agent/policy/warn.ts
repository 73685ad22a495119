import { clusterSets } from '../ruleset/built-in-sets.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import { flows } from '../ruleset/ruleset.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { Surroundings } from './resolve.ts'

/** What the author of rulesets should know of their effect on one node, each a sentence. */
export function warnOfPolicy(rulesets: readonly Ruleset[], surroundings: Surroundings): string[] {
  return [
    ...(closesSomething(rulesets) ? [] : [nothingClosed]),
    ...absentInterfaces(rulesets, surroundings),
    ...unknownSets(rulesets, surroundings),
    ...expired(rulesets, surroundings),
  ]
}

export const nothingClosed = 'nothing is closed: no ruleset sets a default to drop or reject'

/** Whether any ruleset denies what no rule mentions, in any direction. */
export function closesSomething(rulesets: readonly Ruleset[]): boolean {
  return rulesets.some(({ defaults }) =>
    flows.some((flow) => defaults[flow] === 'drop' || defaults[flow] === 'reject'),
  )
}

function absentInterfaces(rulesets: readonly Ruleset[], { facts }: Surroundings): string[] {
  const named = rulesets.flatMap(({ external, rules }) => [
    ...(external === 'auto' ? [] : external),
    ...rules.flatMap(({ interfaces }) => interfaces ?? []),
  ])
  return [...new Set(named)]
    .filter((name) => name !== 'any' && !facts.interfaces.some((present) => covers(name, present)))
    .map((name) => `no interface is called ${name} here: what is limited to it matches nothing`)
}

function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

function unknownSets(rulesets: readonly Ruleset[], { cluster }: Surroundings): string[] {
  const unknown = usedClusterSets(rulesets).filter((set) => cluster[set] === undefined)
  return unknown.map(
    (set) => `the set ${set} could not be read yet: rules that name it match whom it held before, or nobody`,
  )
}

/** The sets of the cluster that any rule names. */
export function usedClusterSets(rulesets: readonly Ruleset[]): ClusterSet[] {
  const sources = rulesets.flatMap(({ rules }) => rules.flatMap(({ from = [], to = [] }) => [...from, ...to]))
  const names = new Set(sources.flatMap((source) => ('set' in source ? [source.set] : [])))
  return clusterSets.filter((set) => names.has(set))
}

function expired(rulesets: readonly Ruleset[], { now }: Surroundings): string[] {
  return rulesets.flatMap(({ name, rules }) =>
    rules
      .filter(({ expiresAt = Infinity }) => expiresAt <= now)
      .map((rule) => `rule "${rule.name}" of ruleset ${name} has expired: it is not there any more`),
  )
}
