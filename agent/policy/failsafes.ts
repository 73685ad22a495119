import { parseCidr } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import { protocolNames, protocolNumbers } from '../ruleset/protocol.ts'
import type { Flow } from '../ruleset/ruleset.ts'
import type { Addresses, Match, PolicyRule, ServicePorts } from './policy.ts'

const { icmp, icmpv6, tcp, udp } = protocolNumbers

/** What most packets match comes first: it costs the least there. */
const established = failsafe('established', {
  // Untracked traffic (NOTRACK, as NodeLocal DNS uses it) is never ESTABLISHED, so its replies need this.
  states: ['RELATED', 'ESTABLISHED', 'UNTRACKED'],
})

const loopback = failsafe('loopback', { interfaces: ['lo'] })

/** Errors, without which connections hang: RFC 4890, 4.3.1, and their like of IPv4. */
const icmpErrors = [
  failsafe('icmp errors', { protocols: [icmp], icmpTypes: { ipv4: types(3, 11, 12), ipv6: [] } }),
  failsafe('icmpv6 errors', { protocols: [icmpv6], icmpTypes: { ipv4: [], ipv6: types(1, 2, 3, 4) } }),
]

/** ICMPv6 types whose loss breaks IPv6 itself on a link (RFC 4890, 4.4.1). */
const neighbours = [
  failsafe('neighbour discovery', {
    protocols: [icmpv6],
    icmpTypes: { ipv4: [], ipv6: types(133, 134, 135, 136, 137) },
  }),
  // IGMP, the same for IPv4: a switch that hears no reports of a group stops delivering it.
  failsafe('igmp', { protocols: [protocolNames.igmp], from: networks('0.0.0.0/0') }),
  failsafe('multicast listeners', {
    protocols: [icmpv6],
    icmpTypes: { ipv4: [], ipv6: types(130, 131, 132, 143) },
  }),
]

const dhcpReplies = [
  failsafe('dhcp', { protocols: [udp], from: networks('0.0.0.0/0'), sourcePort: 67, ports: [only(68)] }),
  failsafe('dhcpv6', { protocols: [udp], from: networks('fe80::/10'), sourcePort: 547, ports: [only(546)] }),
]

const dhcpRequests = [
  failsafe('dhcp', { protocols: [udp], from: networks('0.0.0.0/0'), sourcePort: 68, ports: [only(67)] }),
  failsafe('dhcpv6', { protocols: [udp], from: networks('fe80::/10'), sourcePort: 546, ports: [only(547)] }),
]

const dns = failsafe('dns', { protocols: [tcp, udp], ports: [only(53)] })

const apiServers = failsafe('api servers', {
  protocols: [tcp],
  to: { cidrs: [], sets: ['apiServers'] },
})

/** Where the kubelet listens unless it is told otherwise. */
const usualKubeletPort = 10_250

/**
 * Rules that stand before everybody's, so that no ruleset can cut a node off by accident.
 */
export function failsafesOf(flow: Flow, ports: ServicePorts = {}): readonly PolicyRule[] {
  switch (flow) {
    case 'ingress':
      return [established, loopback, ...icmpErrors, ...neighbours, ...dhcpReplies, ...servicesOf(ports)]
    case 'egress':
      return [established, loopback, ...icmpErrors, ...neighbours, ...dhcpRequests, dns, apiServers]
    case 'podIngress':
      return [established, ...icmpErrors]
    case 'podEgress':
      return [established, ...icmpErrors, dns]
  }
}

/** What of Kubernetes runs on this node, by the ports it listens on. */
function servicesOf({ kubelet = usualKubeletPort, apiServer, etcd, etcdPeer }: ServicePorts): PolicyRule[] {
  const fromPrivate = networks(...builtInSets.private)
  const ofEtcd = [etcd, etcdPeer].filter((port) => port !== undefined)
  return [
    failsafe('kubelet', { protocols: [tcp], from: fromPrivate, ports: [only(kubelet)] }),
    ...(apiServer === undefined
      ? []
      : [failsafe('api server', { protocols: [tcp], from: fromPrivate, ports: [only(apiServer)] })]),
    ...(ofEtcd.length === 0
      ? []
      : [
          failsafe('etcd', {
            protocols: [tcp],
            from: { cidrs: [], sets: ['apiServers'] },
            ports: ofEtcd.map(only),
          }),
        ]),
  ]
}

function failsafe(name: string, match: Match): PolicyRule {
  return { kind: 'failsafe', name, action: 'accept', match, log: false, audit: false }
}

function networks(...texts: readonly string[]): Addresses {
  return { cidrs: texts.map(parseCidr), sets: [] }
}

function types(...numbers: readonly number[]) {
  return numbers.map((type) => ({ type }))
}

function only(port: number) {
  return { first: port, last: port }
}
