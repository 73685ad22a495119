import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { builtInSets, clusterSets, isClusterSet, selfSet } from '../ruleset/built-in-sets.ts'
import { mergeCidrs } from '../ruleset/merge-cidrs.ts'
import type { AddressSource, Ruleset } from '../ruleset/ruleset.ts'
import type { Addresses } from './policy.ts'
import type { Surroundings } from './resolve.ts'

/** The networks that members of `from` or `to` stand for on one node, and the sets of the cluster among them. */
export function resolveAddresses(
  sources: readonly AddressSource[],
  ruleset: Ruleset,
  surroundings: Surroundings,
): Addresses {
  const names = sources.flatMap((source) => ('set' in source ? [source.set] : []))
  const lists = sources.map((source) =>
    'set' in source ? fixedSet(source.set, ruleset, surroundings) : [source],
  )
  const [first] = lists
  // The members of a ruleset's own set are merged already, and may be very many.
  const isMerged = first !== undefined && lists.length === 1 && ruleset.sets.has(names[0] ?? '')
  const cidrs = isMerged ? first : mergeCidrs(lists.flat())
  return { cidrs, sets: clusterSets.filter((set) => names.includes(set)) }
}

function fixedSet(name: string, { sets }: Ruleset, { facts }: Surroundings): readonly Cidr[] {
  if (name === selfSet) return facts.addresses
  if (isClusterSet(name)) return []
  const builtIn = Object.entries(builtInSets).find(([known]) => known === name)
  return builtIn === undefined ? (sets.get(name) ?? []) : builtIn[1].map(parseCidr)
}
