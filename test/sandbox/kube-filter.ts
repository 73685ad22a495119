import type { Family } from '../../agent/ruleset/address.ts'
import { clusterAddress } from './cluster-addresses.ts'
import { services as allServices } from './kube-services.ts'
import type { Service } from './kube-services.ts'

/** The filter table of a node as the kubelet and kube-proxy write it. */
export function filterTable(
  family: Family,
  networkPolicy: boolean,
  services: readonly Service[] = allServices,
): string[] {
  const builtIn = ['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `:${chain} ACCEPT [0:0]`)
  const policy = networkPolicy ? policyRules(family) : []
  return [
    '*filter',
    ...builtIn,
    ...[...chains, ...(networkPolicy ? [policyChain] : [])].map((chain) => `:${chain} - [0:0]`),
    ...policy,
    ...rules,
    ...(family === 'ipv4' ? [martianRule] : []),
    ...serviceRules(services),
    'COMMIT',
  ]
}

/** What the kubelet leaves to say which backend it uses. */
export const mangleTable: readonly string[] = [
  '*mangle',
  ...['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
  ...['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY', 'KUBE-PROXY-CANARY'].map((chain) => `:${chain} - [0:0]`),
  'COMMIT',
]

const chains = [
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-FIREWALL',
  'KUBE-FORWARD',
  'KUBE-KUBELET-CANARY',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-CANARY',
  'KUBE-PROXY-FIREWALL',
  'KUBE-SERVICES',
]

const rules = [
  '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
  '-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
  '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
  '-A INPUT -j KUBE-FIREWALL',
  '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
  '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
  '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
  '-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
  '-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A OUTPUT -j KUBE-FIREWALL',
  '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
]

const martianRule =
  '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP'

/** Ports of the node for which no NAT exists: for health checks, and of Services that have no endpoint. */
function serviceRules(services: readonly Service[]): string[] {
  return services.flatMap(({ name, protocol, nodePort, local, endpoint }) => [
    ...(local === undefined
      ? []
      : [
          `-A KUBE-NODEPORTS -p tcp -m comment --comment "${name} health check node port" -m tcp --dport ${local.healthCheckNodePort} -j ACCEPT`,
        ]),
    ...(endpoint === undefined && nodePort !== undefined
      ? [
          `-A KUBE-EXTERNAL-SERVICES -p ${protocol} -m comment --comment "${name} has no endpoints" -m addrtype --dst-type LOCAL -m ${protocol} --dport ${nodePort} -j REJECT`,
        ]
      : []),
  ])
}

const policyChain = 'KUBE-POD-FW-POD'

/** A NetworkPolicy that closes port 8080 of `pod`, in front of all others, as kube-router does it. */
function policyRules(family: Family): string[] {
  const pod = clusterAddress.pod[family]
  return [
    `-A FORWARD -d ${pod} -m comment --comment "rule to jump traffic destined to POD name:pod to chain ${policyChain}" -j ${policyChain}`,
    `-A ${policyChain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `-A ${policyChain} -p tcp -m tcp --dport 8080 -j DROP`,
  ]
}
