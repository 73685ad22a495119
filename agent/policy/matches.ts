import { formatCidr } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import { coversInterface, isMetadata } from './connection.ts'
import type { Connection, SeenDestination, View } from './connection.ts'
import { largestInline } from './inline.ts'
import type { Addresses, Match, Policy } from './policy.ts'
import { holds, rangesOf, toNumber } from './ranges.ts'

export type MatchField = keyof Omit<Match, 'orMetadata'>

type ClusterSets = Policy['clusterSets']

/** Whether a match holds for a connection; what is told fastest is asked first, since most rules do not match. */
export function holdsFor(match: Match, connection: Connection, view: View, sets: ClusterSets): boolean {
  return (
    match.states === undefined &&
    protocolHolds(match, connection) &&
    view.destinations.some((seen) => portHolds(match, seen)) &&
    findMismatches(match, connection, view, sets).length === 0
  )
}

/** The fields of a match that do not hold for a connection; none: it matches. */
export function findMismatches(
  match: Match,
  connection: Connection,
  view: View,
  sets: ClusterSets,
): readonly MatchField[] {
  const ofPacket = packetMismatches(match, connection, sets)
  const ofDestinations = view.destinations.map((seen) => [
    ...placeMismatches(match, connection, view, seen, sets),
    ...(portHolds(match, seen) ? [] : ['ports' as const]),
  ])
  const closest = ofDestinations.toSorted((a, b) => a.length - b.length)[0] ?? []
  return [...ofPacket, ...closest]
}

function packetMismatches(match: Match, connection: Connection, sets: ClusterSets): MatchField[] {
  const { family, from, fromPort } = connection
  const { sourcePort } = match
  return [
    // The first packet of a connection is in none of the states that rules name.
    ...(match.states === undefined ? [] : ['states' as const]),
    ...(protocolHolds(match, connection) ? [] : ['protocols' as const]),
    ...(icmpTypeHolds(match, connection) ? [] : ['icmpTypes' as const]),
    ...(sourcePort === undefined || sourcePort === fromPort ? [] : ['sourcePort' as const]),
    ...(match.from === undefined || includes(match.from, from, family, sets) ? [] : ['from' as const]),
  ]
}

function protocolHolds({ protocols }: Match, { protocol, family }: Connection): boolean {
  if (protocols === undefined || protocols.includes('any')) return true
  const foreign = family === 'ipv4' ? protocolNumbers.icmpv6 : protocolNumbers.icmp
  return protocol !== foreign && protocols.includes(protocol)
}

function icmpTypeHolds({ icmpTypes }: Match, { icmp, family }: Connection): boolean {
  if (icmpTypes === undefined) return true
  return icmpTypes[family].some(
    ({ type, code }) => type === icmp?.type && (code === undefined || code === icmp.code),
  )
}

/** Where it goes: by which interface, and to whom. */
function placeMismatches(
  match: Match,
  { family }: Connection,
  view: View,
  seen: SeenDestination,
  sets: ClusterSets,
): MatchField[] {
  const { to, orMetadata = false } = match
  if (orMetadata && isMetadata(seen.address, family)) {
    // The few metadata addresses among the networks of `to` are never a set of the kernel.
    if (to === undefined || includes({ ...to, sets: [] }, seen.address, family, sets)) return []
  }
  return [
    ...(interfaceHolds(match, view) ? [] : ['interfaces' as const]),
    ...(destinationHolds(match, seen, family, sets) ? [] : ['to' as const]),
  ]
}

function interfaceHolds({ interfaces }: Match, { interface: name }: View): boolean {
  if (interfaces === undefined) return true
  return name !== undefined && interfaces.some((pattern) => coversInterface(pattern, name))
}

function portHolds({ ports = [] }: Match, { port }: SeenDestination): boolean {
  return (
    ports.length === 0 || ports.some(({ first, last }) => port !== undefined && first <= port && port <= last)
  )
}

function destinationHolds({ to }: Match, seen: SeenDestination, family: Family, sets: ClusterSets): boolean {
  if (to === undefined) return true
  if (seen.inSets) return includes(to, seen.address, family, sets)
  return isInline(to, family) && includes({ ...to, sets: [] }, seen.address, family, sets)
}

/** Whether the networks of a family are few enough to stand in rules rather than in a set. */
export function isInline({ cidrs }: Pick<Addresses, 'cidrs'>, family: Family): boolean {
  const own = cidrs.filter((cidr) => cidr.family === family)
  return own.some(({ prefix }) => prefix === 0) || new Set(own.map(formatCidr)).size <= largestInline
}

function includes({ cidrs, sets }: Addresses, address: string, family: Family, known: ClusterSets): boolean {
  const number = toNumber(address)
  return [cidrs, ...sets.map((name) => known[name])].some((list) => holds(rangesOf(list, family), number))
}
