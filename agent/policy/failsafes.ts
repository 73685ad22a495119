import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { FailsafeName } from '../ruleset/failsafe.ts'
import { protocolNames, protocolNumbers } from '../ruleset/protocol.ts'
import type { Flow } from '../ruleset/ruleset.ts'
import { failsafe, networks, only } from './failsafe-rule.ts'
import type { FailsafeSources } from './failsafe-rule.ts'
import { servicesOf } from './failsafe-services.ts'
import { tunnelsOf } from './failsafe-tunnels.ts'
import type { Addresses, PolicyRule } from './policy.ts'
import { usualApiPorts } from './usual-ports.ts'

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

/** Of what is addressed to the node, and of what it opens itself. */
const always = [established, loopback, ...icmpErrors, ...neighbours]

const dhcpReplies = [
  failsafe('dhcp', { protocols: [udp], from: networks('0.0.0.0/0'), sourcePort: 67, ports: [only(68)] }),
  failsafe('dhcpv6', { protocols: [udp], from: networks('fe80::/10'), sourcePort: 547, ports: [only(546)] }),
]

const dhcpRequests = [
  failsafe('dhcp', { protocols: [udp], from: networks('0.0.0.0/0'), sourcePort: 68, ports: [only(67)] }),
  failsafe('dhcpv6', { protocols: [udp], from: networks('fe80::/10'), sourcePort: 546, ports: [only(547)] }),
]

/**
 * Rules that stand before everybody's, so that no ruleset can cut a node off by accident. Their reasons:
 * docs/adr/0008-failsafes.md.
 */
export function failsafesOf(flow: Flow, sources: FailsafeSources): readonly PolicyRule[] {
  switch (flow) {
    case 'ingress':
      return [...always, ...dhcpReplies, ...servicesOf(sources), ...tunnelsOf('from', sources)]
    case 'egress':
      return [
        ...always,
        ...dhcpRequests,
        ...dnsOf(sources),
        ...apiServersOf(sources),
        ...serversOf(sources),
        ...tunnelsOf('to', sources),
      ]
    case 'podIngress':
      return [established, ...icmpErrors]
    case 'podEgress':
      return [established, ...icmpErrors, dns('pods choose their name servers')]
  }
}

/** The same, and if they are to be wide, also as they are while nothing is known of the cluster. */
export function failsafesWithin(
  flow: Flow,
  sources: FailsafeSources,
  isWide: boolean,
): readonly PolicyRule[] {
  const rules = failsafesOf(flow, sources)
  if (!isWide) return rules
  const { remembered: _, ...facts } = sources.facts
  const cluster = Object.fromEntries(Object.keys(sources.cluster).map((set) => [set, undefined]))
  const wide = failsafesOf(flow, { ...sources, facts, cluster })
  const known = new Set(rules.map((rule) => JSON.stringify(rule)))
  return [...rules, ...wide.filter((rule) => !known.has(JSON.stringify(rule)))]
}

/** The key of `spec.failsafe` that a failsafe belongs to; nothing for those that always stay. */
export function keyOfFailsafe(name: string): FailsafeName | undefined {
  return keys.get(name)
}

const keys: ReadonlyMap<string, FailsafeName> = new Map([
  ['dhcp', 'dhcp'],
  ['dhcpv6', 'dhcp'],
  ['kubelet', 'kubelet'],
  ['api server', 'apiServer'],
  ['etcd', 'etcd'],
  ['tunnels', 'tunnels'],
  ['dns', 'dns'],
  ['api servers', 'apiServers'],
])

/** Where a cluster's DNS can be: networks that nobody routes over the internet (RFC 1918, 4193, 6598). */
const inside = networks(...builtInSets.private, '100.64.0.0/10')

function dnsOf({ facts: { resolvers } }: FailsafeSources): PolicyRule[] {
  if (resolvers === undefined) return [dns('whom this host asks is not known')]
  return [
    dns('name servers of this host', { cidrs: resolvers, sets: [] }),
    dns('private networks hold that of the cluster', inside),
  ]
}

function dns(fact: string, to?: Addresses): PolicyRule {
  return failsafe(
    'dns',
    { protocols: [tcp, udp], ports: [only(53)], ...(to === undefined ? {} : { to }) },
    fact,
  )
}

/**
 * Until the API servers were read they must be within reach, since nobody else could tell who they are. What stands in
 * the kernel from before does not do: they may have moved while the agent was away.
 */
function apiServersOf({ cluster, follows }: FailsafeSources): PolicyRule[] {
  const isKnown = cluster.apiServers !== undefined
  if (!isKnown && !follows) return []
  const known = failsafe(
    'api servers',
    { protocols: [tcp], to: { cidrs: [], sets: ['apiServers'] } },
    'endpoints of the Service kubernetes',
  )
  if (isKnown) return [known]
  const ports = usualApiPorts.map(only)
  return [known, failsafe('api servers', { protocols: [tcp], ports }, 'not known yet')]
}

/**
 * Where the kubelet and the agent find them: the address of a load balancer is none of an endpoint. In the mouth of the
 * agent it is as a rule that of the Service, by which it finds API servers that have all moved.
 */
function serversOf({ facts: { servers = [] } }: FailsafeSources): PolicyRule[] {
  return (['kubelet', 'agent'] as const).flatMap((of) => {
    const own = servers.filter((server) => server.of === of)
    return [...new Set(own.map(({ port }) => port))].map((port) => {
      const cidrs = own.filter((server) => server.port === port).map(({ address }) => address)
      const match = { protocols: [tcp], to: { cidrs, sets: [] }, ports: [only(port)] }
      return failsafe('api servers', match, `API server of the ${of}`)
    })
  })
}

function types(...numbers: readonly number[]) {
  return numbers.map((type) => ({ type }))
}
