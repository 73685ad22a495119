import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import { wireCluster } from './cluster-wiring.ts'
import type { ClusterHosts } from './cluster-wiring.ts'
import { clusterAddress } from './cluster-addresses.ts'
import { startHost } from './host.ts'
import type { Host } from './host.ts'
import { filterTable, mangleTable } from './kube-filter.ts'
import { natTable } from './kube-nat.ts'
import { services } from './kube-services.ts'

/**
 * A node of a Kubernetes cluster, with everything that can come in to it or go out of it:
 *
 *     internet  203.0.113.10, 2001:db8:113::10 ──┐
 *     internet2 203.0.113.77, 2001:db8:113::77 ──┤        ┌─ eth0 node 198.51.100.2, 192.168.133.7, 2001:db8:1::2
 *     private   192.168.200.20, fd00:200::20 ────┼ router ┤    ├─ pod  10.244.1.10, fd00:244:1::10
 *     metadata  169.254.169.254, fd00:ec2::254 ──┘        │    ├─ podB 10.244.1.11, fd00:244:1::11
 *                                                         │    └─ eth1 10.77.0.2, fd00:77::2 ── lan 10.77.0.9, fd00:77::9
 *                                                         └─ eth0 node2 198.51.100.3, 192.168.133.8, 2001:db8:1::3
 *                                                              └─ pod2 10.244.2.10, fd00:244:2::10
 *
 * `internet2` is `internet` with another source address. The router leads to every pod's own address, to the load
 * balancer's 198.51.100.200 and 2001:db8:1::200, and to the node's eth1, by way of the nodes. The Services are in
 * kube-services.ts; what listens where is `listeners`.
 */
export type Cluster = ClusterHosts & { readonly internet2: Host; close(): Promise<void> }

export type ClusterOptions = {
  readonly backend: Backend
  /** `bridge`: cni0, as kindnet and flannel have it; `routed`: a route to each pod, as Calico and clouds have it. */
  readonly pods?: 'bridge' | 'routed'
  /** Pods reach the world outside the cluster with the node's address (default) or with their own. */
  readonly masquerade?: boolean
  /** A NetworkPolicy that closes port 8080 of `pod`. */
  readonly networkPolicy?: boolean
  /**
   * Who answers pods at the address of the metadata service, port 80: the service behind the router (default), a
   * process of the node, as on GKE, or another port of the service. The node's own processes always reach the service.
   */
  readonly metadata?: 'routed' | 'process' | 'port'
  /**
   * kube-proxy in IPVS mode sees packets for Services, NodePorts too, behind INPUT, where they are for the node: its
   * addresses are on kube-ipvs0, and no address is changed in front of INPUT. As not every kernel has IPVS, processes of
   * the node answer in place of the endpoints. Real IPVS sends what it forwards through OUTPUT, with the client's address
   * (`ip_vs_nat_send_or_cont` in Linux).
   */
  readonly proxyMode?: 'iptables' | 'ipvs'
}

/** What listens on each host, besides what a test adds. */
export const listeners = {
  node: { tcp: [22, 6443, 9090, 10_250, 32_100], udp: [68, 546, 8472] },
  node2: { tcp: [10_250], udp: [8472] },
  pod: { tcp: [8080, 8443], udp: [5353] },
  podB: { tcp: [5353, 8080], udp: [5353] },
  pod2: { tcp: [8080], udp: [5353] },
  internet: { tcp: [443], udp: [53] },
  private: { tcp: [443], udp: [53] },
  lan: { tcp: [443], udp: [53] },
  metadata: { tcp: [80, 8080], udp: [53] },
} as const satisfies Partial<Record<keyof ClusterHosts, unknown>>

const names = [
  'router',
  'node',
  'node2',
  'pod',
  'podB',
  'pod2',
  'internet',
  'private',
  'lan',
  'metadata',
] as const

/** Makes the hosts, cables, routes, rules and processes. Everything is gone when it is closed. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const { backend, pods = 'bridge', masquerade = true, networkPolicy = false } = options
  const { metadata = 'routed', proxyMode = 'iptables' } = options
  const started = await Promise.all(names.map(async (name) => [name, await startHost(name)] as const))
  const hosts = Object.fromEntries(started) as ClusterHosts
  await wireCluster(hosts, { pods, metadata, proxyMode })
  const rules = families.map(async (family) => {
    const nat = natTable(family, { masquerade, metadata, proxyMode })
    const text = [...mangleTable, ...filterTable(family, networkPolicy), ...nat, ''].join('\n')
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-restore`
    await hosts.node.exec(program, ['--wait'], { input: text })
  })
  await Promise.all([
    ...rules,
    listenAll(hosts),
    ...(proxyMode === 'ipvs' ? [listenForServices(hosts.node)] : []),
  ])
  if (metadata === 'process') await hosts.node.listen('tcp', 988)
  return {
    ...hosts,
    internet2: withSource(hosts.internet, clusterAddress.internet2),
    close: async () => void (await Promise.all(started.map(async ([, host]) => host.close()))),
  }
}

async function listenAll(hosts: ClusterHosts): Promise<void> {
  const all = Object.entries(listeners).flatMap(([name, { tcp, udp }]) => {
    const host = hosts[name as keyof typeof listeners]
    return [
      ...tcp.map(async (port) => host.listen('tcp', port)),
      ...udp.map(async (port) => host.listen('udp', port)),
    ]
  })
  await Promise.all(all)
}

/** The ports at which a node in IPVS mode takes packets for Services. */
async function listenForServices(node: Host): Promise<void> {
  const wanted = services.flatMap(({ protocol, clusterIp, nodePort }) =>
    [clusterIp?.port, nodePort].flatMap((port) => (port === undefined ? [] : `${protocol} ${port}`)),
  )
  await Promise.all(
    [...new Set(wanted)].map(async (text) => {
      const [protocol, port] = text.split(' ')
      await node.listen(protocol === 'udp' ? 'udp' : 'tcp', Number(port))
    }),
  )
}

/** A host as seen by those it speaks to from another one of its addresses. */
function withSource(host: Host, addresses: { readonly ipv4: string; readonly ipv6: string }): Host {
  const source = (address: string) => (address.includes(':') ? addresses.ipv6 : addresses.ipv4)
  return {
    ...host,
    probe: async (probe) => host.probe({ source: source(probe.address), ...probe }),
    call: async (probe) => host.call({ source: source(probe.address), ...probe }),
  }
}
