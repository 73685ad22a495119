import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { builtInSets, isClusterSet, selfSet } from '../ruleset/built-in-sets.ts'
import type { AddressSource, PortRange, Rule, Ruleset } from '../ruleset/ruleset.ts'

/** A rule with all that its document says about it, and names for what only a node or the cluster knows. */
export type SymbolicRule = {
  readonly rule: Rule
  /** In ascending order; empty: any. */
  readonly ports: readonly PortRange[]
  readonly from: SymbolicAddresses
  readonly to: SymbolicAddresses
  readonly interfaces: 'any' | 'auto' | readonly string[]
  /** Also what goes to a metadata address by no such interface. */
  readonly orMetadata: boolean
}

/** Networks, and sets that may hold anything. */
export type SymbolicAddresses = { readonly cidrs: readonly Cidr[]; readonly sets: readonly string[] }

const builtIn: ReadonlyMap<string, readonly Cidr[]> = new Map(
  Object.entries(builtInSets).map(([name, members]) => [name, members.map(parseCidr)]),
)
const anybody: SymbolicAddresses = { cidrs: builtIn.get('any') ?? [], sets: [] }

/** What a rule means as far as that can be told without a node. */
export function toSymbolic(rule: Rule, ruleset: Ruleset): SymbolicRule {
  const interfaces = rule.interfaces ?? ruleset.external
  const isAny = interfaces !== 'auto' && interfaces.includes('any')
  return {
    rule,
    ports: rule.ports.toSorted((a, b) => a.first - b.first),
    from: addressesOf(rule.from, ruleset),
    to: addressesOf(rule.to, ruleset),
    interfaces: isAny ? 'any' : interfaces,
    orMetadata: rule.flow === 'podEgress' && rule.interfaces === undefined && !isAny,
  }
}

function addressesOf(sources: readonly AddressSource[] | undefined, { sets }: Ruleset): SymbolicAddresses {
  if (sources === undefined) return anybody
  const names = sources.flatMap((source) => ('set' in source ? [source.set] : []))
  return {
    cidrs: sources.flatMap((source) =>
      'set' in source ? (builtIn.get(source.set) ?? sets.get(source.set) ?? []) : [source],
    ),
    sets: [...new Set(names.filter((name) => isClusterSet(name) || name === selfSet))],
  }
}
