import { parseCidr } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Match, PolicyRule } from './policy.ts'

const { icmp, icmpv6, tcp, udp } = protocolNumbers
const privateNetworks = builtInSets.private.map(parseCidr)

/** ICMPv6 types whose loss breaks IPv6 itself (RFC 4890, 4.4.1): errors, neighbour discovery, multicast listeners. */
const vitalIcmpv6 = {
  errors: [1, 2, 3, 4],
  neighbours: [133, 134, 135, 136, 137],
  listeners: [130, 131, 132, 143],
}

/**
 * Rules that stand before everybody's, so that no ruleset can cut a node off by accident. What most packets
 * match comes first: it costs the least there.
 */
export const failsafes: readonly PolicyRule[] = [
  // Untracked traffic (NOTRACK, as NodeLocal DNS uses it) is never ESTABLISHED, so its replies need this.
  failsafe('established', { states: ['RELATED', 'ESTABLISHED', 'UNTRACKED'] }),
  failsafe('loopback', { interfaces: ['lo'] }),
  // A NodePort or hostPort that leads to a host process arrives here with another port than the client used:
  // rules name what the client used, so they cannot be held against it.
  failsafe('translated', { states: ['DNAT'] }),
  failsafe('icmp errors', { protocols: [icmp], icmpTypes: [3, 11, 12] }),
  failsafe('icmpv6 errors', { protocols: [icmpv6], icmpTypes: vitalIcmpv6.errors }),
  failsafe('neighbour discovery', { protocols: [icmpv6], icmpTypes: vitalIcmpv6.neighbours }),
  failsafe('multicast listeners', { protocols: [icmpv6], icmpTypes: vitalIcmpv6.listeners }),
  failsafe('dhcp', { protocols: [udp], from: [parseCidr('0.0.0.0/0')], sourcePort: 67, ports: [only(68)] }),
  failsafe('dhcpv6', {
    protocols: [udp],
    from: [parseCidr('fe80::/10')],
    sourcePort: 547,
    ports: [only(546)],
  }),
  failsafe('kubelet', { protocols: [tcp], from: privateNetworks, ports: [only(10_250)] }),
]

function failsafe(name: string, match: Match): PolicyRule {
  return { comment: `failsafe ${name}`, action: 'accept', match }
}

function only(port: number) {
  return { first: port, last: port }
}
