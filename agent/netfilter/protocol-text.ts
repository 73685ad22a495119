import type { Match } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import { icmpMatch } from './icmp-text.ts'
import { canonicalProtocol } from './protocol-names.ts'

/** The protocols of a match that exist in a family; `splitTcp`: TCP has to be told from all others. */
export function protocolsOf({ protocols = ['any'] }: Match, family: Family, splitTcp: boolean): Protocol[] {
  const own = protocols.filter((protocol) => protocol !== foreignIcmp(family))
  // TCP is refused with a reset, everything else with an ICMP error: "any" needs one rule for each.
  return own.flatMap((protocol) =>
    protocol === 'any' && splitTcp ? [protocolNumbers.tcp, protocol] : [protocol],
  )
}

/** Matches of one protocol with the ports or ICMP types of a match: as many as it takes. */
export function protocolTexts(match: Match, protocol: Protocol, family: Family): string[] {
  if (protocol === 'any') return ['']
  // Authentication headers are not an IPv6 packet's protocol but one of its extension headers.
  if (protocol === protocolNumbers.ah && family === 'ipv6') return ['-m ah']
  const name = canonicalProtocol(protocol)
  if (match.icmpTypes !== undefined) {
    return match.icmpTypes[family].map((type) => `-p ${name} ${icmpMatch(type, family)}`)
  }
  const ranges = mergeRanges(match.ports ?? [])
  const [first] = ranges
  if (first === undefined) return [`-p ${name}`]
  const source = match.sourcePort === undefined ? '' : ` --sport ${match.sourcePort}`
  if (ranges.length === 1) return [`-p ${name} -m ${name}${source} --dport ${formatRange(first)}`]
  return multiports(ranges).map((ports) => `-p ${name} -m multiport --dports ${ports}`)
}

function foreignIcmp(family: Family): number {
  return family === 'ipv4' ? protocolNumbers.icmpv6 : protocolNumbers.icmp
}

/** Sorted, with what overlaps or touches made one. */
export function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = merged.at(-1)
    if (last === undefined || range.first > last.last + 1) merged.push(range)
    else merged[merged.length - 1] = { first: last.first, last: Math.max(last.last, range.last) }
  }
  return merged
}

/** Lists of at most 15 ports, of which a range takes up two (iptables-extensions(8), multiport). */
function multiports(ranges: readonly PortRange[]): string[] {
  const lists: { texts: string[]; room: number }[] = []
  for (const range of ranges) {
    const size = range.first === range.last ? 1 : 2
    const current = lists.at(-1)
    if (current === undefined || current.room < size)
      lists.push({ texts: [formatRange(range)], room: 15 - size })
    else {
      current.texts.push(formatRange(range))
      current.room -= size
    }
  }
  return lists.map(({ texts }) => texts.join(','))
}

export function formatRange({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}:${last}`
}
