import ipaddr from 'ipaddr.js'
import type { ImportedDocument, ImportedRule } from '../../agent/import/document.ts'
import { protocolNames } from '../../agent/ruleset/protocol.ts'

/** A new connection that a client opens to the node. */
export type Packet = {
  readonly input: string
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly port: number
}

export type Verdict = 'accept' | 'drop' | 'reject'

/** What a ruleset does with a packet, as its documentation says it: the first rule that matches, then the default. */
export function judge({ spec }: ImportedDocument, packet: Packet): Verdict {
  const external = spec.interfaces?.external ?? ['eth0']
  const isOutside = (names: readonly string[]) => names.includes(packet.input)
  const first = spec.rules?.find(
    (rule) =>
      rule.direction === undefined &&
      isOutside(rule.interfaces ?? external) &&
      matches(rule, packet, spec.sets ?? {}),
  )
  if (first !== undefined) return first.action
  return isOutside(external) ? (spec.defaults?.ingress ?? 'accept') : 'accept'
}

function matches(
  rule: ImportedRule,
  packet: Packet,
  sets: Readonly<Record<string, readonly string[]>>,
): boolean {
  const protocols = [rule.protocol ?? []]
    .flat()
    .map((name) => (typeof name === 'number' ? name : numberOf(name)))
  const within = (list: readonly string[] | undefined, address: string) =>
    list === undefined ||
    list.flatMap((member) => sets[member] ?? [member]).some((cidr) => contains(cidr, address))
  const ports = rule.ports?.map((port) => String(port).split('-').map(Number))
  return (
    (protocols.length === 0 || protocols.includes(packet.protocol)) &&
    (ports === undefined ||
      ports.some(([low = 0, high = low]) => low <= packet.port && packet.port <= high)) &&
    within(rule.from, packet.source) &&
    within(rule.to, packet.destination)
  )
}

function numberOf(name: string): number {
  return new Map<string, number>(Object.entries(protocolNames)).get(name) ?? -1
}

/** Whether a CIDR, or one address, holds an address. */
export function contains(cidr: string, address: string): boolean {
  const [network = '', prefix] = cidr.split('/')
  const [a, b] = [ipaddr.parse(address), ipaddr.parse(network)]
  if (a.kind() !== b.kind()) return false
  return a.match(b, Number(prefix ?? (a.kind() === 'ipv4' ? 32 : 128)))
}
