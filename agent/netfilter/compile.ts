import type { Match, Policy, PolicyRule } from '../policy/policy.ts'
import { formatCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import { chainName, markerRule } from './chain.ts'
import type { Chain } from './chain.ts'
import { canonicalProtocol } from './protocol-names.ts'

/**
 * Compiles a policy into the chain of one family, in the very text that `iptables-save` prints for it
 * (iptables 1.8, both backends), so that verification is equality of text.
 */
export function compileChain(policy: Policy, family: Family): Chain {
  const rules = policy.rules.flatMap((rule) => compileRule(rule, family))
  return { name: chainName, rules: [...rules, markerRule(policy.hash)] }
}

/** The iptables rules one policy rule becomes: one for each combination that a single rule cannot hold. */
function compileRule({ comment, action, match }: PolicyRule, family: Family): string[] {
  const sources = addressMatches('-s', match.from, family)
  const destinations = addressMatches('-d', match.to, family)
  const interfaces = match.interfaces?.map((name) => `-i ${name}`) ?? ['']
  const protocols = protocolMatches(match, family, action === 'reject')
  const tail = [stateMatch(match), commentMatch(comment)]
  return sources.flatMap((source) =>
    destinations.flatMap((destination) =>
      interfaces.flatMap((input) =>
        protocols.map(({ text, protocol }) =>
          [source, destination, input, text, ...tail, target(action, protocol, family)]
            .filter(Boolean)
            .join(' '),
        ),
      ),
    ),
  )
}

/** One match an address; `['']` for any. No address of this family: no match at all, so the rule vanishes. */
function addressMatches(flag: '-s' | '-d', cidrs: readonly Cidr[] | undefined, family: Family): string[] {
  if (cidrs === undefined) return ['']
  const own = cidrs.filter((cidr) => cidr.family === family)
  if (own.some(({ prefix }) => prefix === 0)) return ['']
  return [...new Set(own.map(formatCidr))].map((cidr) => `${flag} ${cidr}`)
}

type ProtocolMatch = { readonly text: string; readonly protocol: Protocol }

function protocolMatches(match: Match, family: Family, rejects: boolean): ProtocolMatch[] {
  const { protocols = ['any'] } = match
  return protocols.flatMap((protocol): ProtocolMatch[] => {
    if (protocol === foreignIcmp(family)) return []
    // TCP is refused with a reset, everything else with an ICMP error: "any" needs one rule for each.
    if (protocol === 'any' && rejects) {
      return [
        { text: '-p tcp', protocol: protocolNumbers.tcp },
        { text: '', protocol },
      ]
    }
    return withPorts(match, protocol, family).map((text) => ({ text, protocol }))
  })
}

function withPorts(match: Match, protocol: Protocol, family: Family): string[] {
  if (protocol === 'any') return ['']
  // Authentication headers are not an IPv6 packet's protocol but one of its extension headers.
  if (protocol === protocolNumbers.ah && family === 'ipv6') return ['-m ah']
  const name = canonicalProtocol(protocol)
  const icmp = family === 'ipv4' ? '-m icmp --icmp-type' : '-m icmp6 --icmpv6-type'
  if (match.icmpTypes !== undefined) return match.icmpTypes.map((type) => `-p ${name} ${icmp} ${type}`)
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
function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
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

function formatRange({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}:${last}`
}

function stateMatch({ states }: Match): string {
  return states === undefined ? '' : `-m conntrack --ctstate ${states.join(',')}`
}

/** `iptables-save` quotes a comment unless it is made of these characters alone. */
function commentMatch(comment: string): string {
  return `-m comment --comment ${/^[A-Za-z0-9_-]+$/.test(comment) ? comment : `"${comment}"`}`
}

/** Accept is RETURN: it says "no objection" and leaves what stands behind this chain its own say. */
function target(action: PolicyRule['action'], protocol: Protocol, family: Family): string {
  switch (action) {
    case 'accept':
      return '-j RETURN'
    case 'drop':
      return '-j DROP'
    case 'reject':
      if (protocol === protocolNumbers.tcp) return '-j REJECT --reject-with tcp-reset'
      return `-j REJECT --reject-with ${family === 'ipv4' ? 'icmp' : 'icmp6'}-port-unreachable`
  }
}
