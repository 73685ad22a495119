import type { ClusterFacts } from '../../agent/policy/policy.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import { clusterAddress, podNetwork, serviceAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster, ClusterOptions } from '../sandbox/cluster.ts'
import type { Host } from '../sandbox/host.ts'
import { packet } from '../sandbox/packet.ts'
import type { PacketSetting } from '../sandbox/packet.ts'
import { sendRaw } from '../sandbox/raw.ts'
import { ip } from '../sandbox/wire.ts'
import type { Row } from './preset-packets.ts'

/** Addresses that presets name, and a cluster has none of. */
const presetAddress = {
  /** Google Cloud's health checks. */
  healthCheck: { ipv4: '35.191.0.10', ipv6: '2600:2d00:1:b029::10' },
  /** Metadata services of Scaleway and of Linode. */
  moreMetadata: { ipv4: '169.254.42.42', ipv6: 'fd00:a9fe:a9fe::1' },
} as const

export const addresses = { ...clusterAddress, ...serviceAddress, ...presetAddress }

export type PlaceName = keyof typeof addresses
export type ClientName = Exclude<keyof PresetCluster, 'close'>
export type PresetCluster = Cluster & { readonly healthCheck: Host }

/** What the agent knows of the cluster: its nodes by the addresses they speak to each other with. */
export const knownOfCluster = {
  nodes: cidrs(clusterAddress.nodePrivate, clusterAddress.node2Private),
  apiServers: cidrs(clusterAddress.nodePrivate, clusterAddress.node2Private),
  podCIDRs: cidrs(podNetwork.cluster),
} satisfies ClusterFacts

/** Where an agent was told no pod networks, it knows those of its own node. */
export const ownPodsOnly = { ...knownOfCluster, podCIDRs: cidrs(podNetwork.node) }

/** What listens besides the listeners of the sandbox: everything a rule names must be there to be refused. */
const listeners = {
  node: {
    tcp: [53, 80, 179, 2379, 2380, 4194, 4244, 5473, 7946, 9099, 10_249, 10_255, 10_256, 10_257],
    udp: [53, 443, 3784, 4789, 7946, 51_820],
  },
  internet: { tcp: [22, 80], udp: [123, 443] },
  private: { tcp: [22], udp: [443] },
} as const

/** A cluster with everything that the presets name. */
export async function createPresetCluster(options: ClusterOptions): Promise<PresetCluster> {
  const cluster = await createCluster(options)
  const { router, node, internet, metadata } = cluster
  const { healthCheck, moreMetadata } = presetAddress
  const lend = async (host: Host, cable: string, lent: { readonly ipv4: string; readonly ipv6: string }) => {
    await ip(host, [
      `address add ${lent.ipv4}/32 dev eth0`,
      // Deprecated: nothing is sent from it unless somebody asks for it.
      `address add ${lent.ipv6}/128 dev eth0 nodad preferred_lft 0`,
    ])
    await ip(
      router,
      families.map((family) => `route add ${lent[family]} dev ${cable}`),
    )
  }
  await Promise.all([
    lend(internet, 'internet', healthCheck),
    lend(metadata, 'metadata', moreMetadata),
    // Else only one of several datagrams to one client is refused in a second, and the others are met with silence.
    node.exec('sh', [
      '-c',
      'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit && echo 0 >/proc/sys/net/ipv6/icmp/ratelimit',
    ]),
    ...Object.entries(listeners).flatMap(([name, { tcp, udp }]) => {
      const host = cluster[name as keyof typeof listeners]
      return [
        ...tcp.map(async (port) => host.listen('tcp', port)),
        ...udp.map(async (port) => host.listen('udp', port)),
      ]
    }),
  ])
  return { ...cluster, healthCheck: withSource(internet, healthCheck) }
}

/** What no preset may break. */
export const goesOn: readonly Row[] = [
  ['replies to the node', 'node', 'internet', 'tcp', 443, 'accepted'],
  ['replies to a pod', 'pod', 'internet', 'tcp', 443, 'accepted'],
  ['DNS of a pod', 'pod', 'dns', 'udp', 53, 'accepted'],
  ['DNS of a pod, over TCP', 'pod', 'dns', 'tcp', 53, 'accepted'],
  ['DNS of the node', 'node', 'dns', 'udp', 53, 'accepted'],
  ['DNS of a pod, at a resolver outside', 'podB', 'internet', 'udp', 53, 'accepted'],
  ['a ClusterIP from a pod', 'podB', 'web', 'tcp', 443, 'accepted'],
  ['a ClusterIP from the node', 'node', 'web', 'tcp', 443, 'accepted'],
  ['the API server from a pod', 'pod', 'kubernetes', 'tcp', 443, 'accepted'],
  ['the API server from the node', 'node', 'kubernetes', 'tcp', 443, 'accepted'],
  ['from a pod to one on the node', 'pod', 'podB', 'tcp', 8080, 'accepted'],
  ['from a pod to one elsewhere', 'pod', 'pod2', 'tcp', 8080, 'accepted'],
  ["from another node's pod to a pod", 'pod2', 'pod', 'tcp', 8080, 'accepted'],
  ['from a pod to a NodePort, pod elsewhere', 'pod', 'node', 'tcp', 30_081, 'accepted'],
  ['from a pod to a hostPort', 'podB', 'node', 'tcp', 8443, 'accepted'],
  ['metrics of the node, from its pod', 'pod', 'node', 'tcp', 10_255, 'accepted'],
  ['probe of a pod by the kubelet', 'node', 'pod', 'tcp', 8080, 'accepted'],
  ['probe of a host-network pod by the kubelet', 'node', 'node', 'tcp', 9090, 'accepted'],
  ['the kubelet, from another node', 'node2', 'nodePrivate', 'tcp', 10_250, 'accepted'],
  ['the kubelet of another node', 'node', 'node2Private', 'tcp', 10_250, 'accepted'],
  ['in by an interface that is not external', 'lan', 'nodeEth1', 'tcp', 22, 'accepted'],
  ['a NodePort by an interface that is not external', 'lan', 'nodeEth1', 'tcp', 30_080, 'accepted'],
]

function withSource(host: Host, addressesOfIt: { readonly ipv4: string; readonly ipv6: string }): Host {
  const source = (address: string) => (address.includes(':') ? addressesOfIt.ipv6 : addressesOfIt.ipv4)
  return { ...host, probe: async (probe) => host.probe({ source: source(probe.address), ...probe }) }
}

function cidrs(...list: readonly { readonly ipv4: string; readonly ipv6: string }[]) {
  return list.flatMap(({ ipv4, ipv6 }) => [parseCidr(ipv4), parseCidr(ipv6)])
}

/** Sends the node one packet, and tells whether it gets past the filter table on its way to the host. */
export async function countPackets(
  cluster: PresetCluster,
  from: 'internet' | 'private',
  setting: PacketSetting,
): Promise<{ readonly arrived: number; readonly passed: number }> {
  const { node } = cluster
  const match = `ip saddr ${setting.source} ip protocol ${setting.transport.protocol}`
  await node.exec('nft', ['-f', '-'], {
    input: `table ip counting {
      chain arrived { type filter hook prerouting priority -350
        ${match} counter
      }
      chain passed { type filter hook input priority 400
        ${match} counter
      }
    }\n`,
  })
  const read = async (chain: string) => {
    const { stdout } = await node.exec('nft', ['list', 'chain', 'ip', 'counting', chain])
    return Number(/counter packets (\d+)/.exec(stdout)?.[1])
  }
  await sendRaw(cluster[from], packet(setting))
  while ((await read('arrived')) === 0);
  const counts = { arrived: await read('arrived'), passed: await read('passed') }
  await node.exec('nft', ['delete', 'table', 'ip', 'counting'])
  return counts
}
