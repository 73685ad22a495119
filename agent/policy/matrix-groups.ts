import { parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { Policy, PolicyRule } from './policy.ts'
import { holds, rangesOf, toAddress } from './ranges.ts'
import type { AddressRange } from './ranges.ts'

/** Who connects: sources of one name, and one address for each way in which the rules tell them apart. */
export type Group = { readonly name: string; readonly addresses: readonly string[] }

export type NamedSources = { readonly name: string; readonly cidrs: readonly Cidr[] }

const privateNetworks = builtInSets.private.map(parseCidr)

/** What no packet from the internet has as its source. */
const unroutable = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/3',
  '4000::/2',
  '8000::/1',
]
const elsewhere = unroutable.map(parseCidr)

/**
 * Puts all addresses of a family into groups: each set of its own, what else is private, and the internet.
 * Groups without any address are left out.
 */
export function groupSources(
  policy: Policy,
  named: readonly NamedSources[],
  family: Family,
): readonly Group[] {
  const lists = [...listsOf(policy), ...named.map(({ cidrs }) => cidrs), privateNetworks, elsewhere]
  const ranges = lists.map((list) => rangesOf(list, family))
  const pieces = distinctPieces(ranges, family)
  const isIn = (list: readonly Cidr[]) => (address: bigint) => holds(rangesOf(list, family), address)
  const isNamed = (address: bigint) => named.some(({ cidrs }) => isIn(cidrs)(address))
  const isPrivate = isIn(privateNetworks)
  const isElsewhere = isIn(elsewhere)
  const groups: [string, (address: bigint) => boolean][] = [
    ['internet', (address) => !isNamed(address) && !isPrivate(address) && !isElsewhere(address)],
    ['private', (address) => !isNamed(address) && isPrivate(address)],
    ...named.map(({ name, cidrs }): [string, (address: bigint) => boolean] => [name, isIn(cidrs)]),
  ]
  return groups
    .map(([name, has]) => ({ name, addresses: pieces.filter(has).map((piece) => toAddress(piece, family)) }))
    .filter(({ addresses }) => addresses.length > 0)
}

/** The sets that people know sources by: those of the cluster, and those that rules of ingress name. */
export function namedSources(rulesets: readonly Ruleset[], { clusterSets }: Policy): readonly NamedSources[] {
  const ofCluster = [
    { name: 'nodes', cidrs: clusterSets.nodes },
    { name: 'api servers', cidrs: clusterSets.apiServers },
    { name: 'pods', cidrs: clusterSets.podCIDRs },
  ]
  const ofRulesets = rulesets.flatMap(({ name: ruleset, sets, rules }) => {
    const used = rules.filter(({ flow }) => flow === 'ingress').flatMap(({ from = [] }) => from)
    const names = new Set(used.flatMap((source) => ('set' in source ? [source.set] : [])))
    return [...sets].flatMap(([name, cidrs]) => (names.has(name) ? [{ ruleset, name, cidrs }] : []))
  })
  const isTwice = (name: string) => ofRulesets.filter((set) => set.name === name).length > 1
  return [
    ...ofCluster,
    ...ofRulesets.map(({ ruleset, name, cidrs }) => ({
      name: isTwice(name) ? `${ruleset}/${name}` : name,
      cidrs,
    })),
  ]
}

/** The rules of ingress that decide something. */
export function decidingRules({ flows }: Policy): readonly PolicyRule[] {
  return flows.ingress.filter(
    (step): step is PolicyRule => step.kind !== 'audit' && !step.audit && step.match.states === undefined,
  )
}

function listsOf(policy: Policy): (readonly Cidr[])[] {
  const sources = decidingRules(policy).flatMap(({ match }) => match.from ?? [])
  return [
    ...new Set(sources.flatMap(({ cidrs, sets }) => [cidrs, ...sets.map((set) => policy.clusterSets[set])])),
  ]
}

/** One address for each combination of lists that any address is in. */
function distinctPieces(lists: readonly (readonly AddressRange[])[], family: Family): bigint[] {
  const end = family === 'ipv4' ? 1n << 32n : 1n << 128n
  const edges = lists.flatMap((ranges) => ranges.flatMap(({ first, last }) => [first, last + 1n]))
  const found = new Map<string, bigint>()
  for (const edge of [...new Set([0n, ...edges])].toSorted((a, b) => (a < b ? -1 : 1))) {
    if (edge === end) continue
    const combination = lists.map((ranges) => (holds(ranges, edge) ? '1' : '0')).join('')
    if (!found.has(combination)) found.set(combination, edge)
  }
  return [...found.values()]
}
