import type { Connection } from '../../agent/policy/connection.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { protocolNumbers } from '../../agent/ruleset/protocol.ts'
import { clusterAddress, serviceAddress } from '../sandbox/cluster-addresses.ts'
import type { Cluster } from '../sandbox/cluster.ts'

const addresses = { ...clusterAddress, ...serviceAddress }
type Place = keyof typeof addresses
type HostName = Exclude<keyof Cluster, 'close'>

/** A way that a connection can take past the node. */
export type Way = {
  readonly client: HostName
  /** The client's address as the node's filter sees it. */
  readonly from: Place
  readonly protocol: 'tcp' | 'udp'
  readonly dialled: Destination
  /** Where it ends; the same as `dialled` where nothing translates it. */
  readonly real: Destination
  /** Interfaces of the node; absent: a process of the node is at that end. */
  readonly in?: string
  readonly out?: string
}

type Destination = readonly [place: Place, port: number]

/** What the node's filter sees of the first packet of a connection on that way. */
export function connectionOf(way: Way, family: Family): Connection {
  const { from, protocol, dialled, real, in: input, out } = way
  return {
    family,
    protocol: protocolNumbers[protocol],
    from: addresses[from][family],
    dialled: { address: addresses[dialled[0]][family], port: dialled[1] },
    real: { address: addresses[real[0]][family], port: real[1] },
    ...(input === undefined ? {} : { in: input }),
    ...(out === undefined ? {} : { out }),
  }
}

export function addressOf(place: Place, family: Family): string {
  return addresses[place][family]
}

export function describeWay({ client, protocol, dialled, real, in: input, out }: Way): string {
  const [by, to] = [input ?? 'the node', out ?? 'the node']
  return `${client} to ${dialled.join(' ')} ${protocol} (${by} to ${to}, ${real.join(' ')})`
}

const outsiders = [
  { client: 'internet', from: 'internet', in: 'eth0' },
  { client: 'internet2', from: 'internet2', in: 'eth0' },
  { client: 'private', from: 'private', in: 'eth0' },
  { client: 'lan', from: 'lan', in: 'eth1' },
] as const
const insiders = [
  { client: 'pod', from: 'pod', in: 'cni0' },
  { client: 'podB', from: 'podB', in: 'cni0' },
] as const
const pod2 = { client: 'pod2', from: 'pod2', in: 'eth0' } as const
const node2 = { client: 'node2', in: 'eth0' } as const
const node = { client: 'node' } as const

const tcp = 'tcp' as const
const udp = 'udp' as const

/** To what is addressed to the node: its processes, NodePorts, a hostPort, a load balancer. */
const toTheNode = [
  { protocol: tcp, dialled: ['node', 22], real: ['node', 22] },
  { protocol: tcp, dialled: ['node', 10_250], real: ['node', 10_250] },
  { protocol: udp, dialled: ['node', 8472], real: ['node', 8472] },
  { protocol: tcp, dialled: ['node', 30_080], real: ['pod', 8080], out: 'cni0' },
  { protocol: tcp, dialled: ['node', 30_081], real: ['pod2', 8080], out: 'eth0' },
  { protocol: tcp, dialled: ['node', 30_082], real: ['node', 9090] },
  { protocol: tcp, dialled: ['node', 30_083], real: ['pod', 8080], out: 'cni0' },
  { protocol: udp, dialled: ['node', 30_053], real: ['pod', 5353], out: 'cni0' },
  { protocol: tcp, dialled: ['node', 8443], real: ['pod', 8443], out: 'cni0' },
] as const

/** Not from other nodes, which answer for a load balancer themselves. */
const toLoadBalancer = {
  protocol: tcp,
  dialled: ['loadBalancer', 443],
  real: ['pod', 8080],
  out: 'cni0',
} as const

const toPods = [
  { protocol: tcp, dialled: ['pod', 8080], real: ['pod', 8080], out: 'cni0' },
  { protocol: udp, dialled: ['podB', 5353], real: ['podB', 5353], out: 'cni0' },
] as const

const fromPods = [
  { protocol: udp, dialled: ['dns', 53], real: ['podB', 5353], out: 'cni0' },
  { protocol: tcp, dialled: ['kubernetes', 443], real: ['node', 6443] },
  { protocol: tcp, dialled: ['internet', 443], real: ['internet', 443], out: 'eth0' },
  { protocol: udp, dialled: ['internet', 53], real: ['internet', 53], out: 'eth0' },
  { protocol: tcp, dialled: ['private', 443], real: ['private', 443], out: 'eth0' },
  { protocol: tcp, dialled: ['lan', 443], real: ['lan', 443], out: 'eth1' },
  { protocol: tcp, dialled: ['pod2', 8080], real: ['pod2', 8080], out: 'eth0' },
  { protocol: tcp, dialled: ['node2Private', 10_250], real: ['node2Private', 10_250], out: 'eth0' },
] as const

/**
 * From processes of the node. The interface of what the node itself translates is that of the address it dialled:
 * the route is found anew only behind the filter.
 */
const fromTheNode = [
  { from: 'node', protocol: tcp, dialled: ['internet', 443], real: ['internet', 443], out: 'eth0' },
  { from: 'node', protocol: udp, dialled: ['internet', 53], real: ['internet', 53], out: 'eth0' },
  { from: 'node', protocol: tcp, dialled: ['private', 443], real: ['private', 443], out: 'eth0' },
  { from: 'nodeEth1', protocol: tcp, dialled: ['lan', 443], real: ['lan', 443], out: 'eth1' },
  { from: 'nodePods', protocol: tcp, dialled: ['pod', 8080], real: ['pod', 8080], out: 'cni0' },
  { from: 'nodePrivate', protocol: tcp, dialled: ['pod2', 8080], real: ['pod2', 8080], out: 'eth0' },
  { from: 'node', protocol: tcp, dialled: ['metadata', 80], real: ['metadata', 80], out: 'eth0' },
  { from: 'node', protocol: tcp, dialled: ['web', 443], real: ['pod', 8080], out: 'eth0' },
  { from: 'node', protocol: udp, dialled: ['dns', 53], real: ['podB', 5353], out: 'eth0' },
] as const

/** Where pods find the metadata service: behind the router, or by translation a process of the node. */
export type Metadata = 'routed' | 'process'

const toMetadata = {
  routed: { protocol: tcp, dialled: ['metadata', 80], real: ['metadata', 80], out: 'eth0' },
  process: { protocol: tcp, dialled: ['metadata', 80], real: ['metadataProxy', 988] },
} as const

/** Every way past the node of a cluster in the sandbox whose pods are behind cni0. */
export function waysOf(metadata: Metadata): readonly Way[] {
  return [
    ...outsiders.flatMap((client) =>
      [...toTheNode, toLoadBalancer, ...toPods].map((way) => ({ ...client, ...way })),
    ),
    ...[...toTheNode, ...toPods].map((way) => ({ ...pod2, ...way })),
    // It reaches the node on the one network and the node's pods by the other.
    ...toTheNode.map((way) => ({ ...node2, from: 'node2' as const, ...way })),
    ...toPods.map((way) => ({ ...node2, from: 'node2Private' as const, ...way })),
    ...insiders.flatMap((client) =>
      [...toTheNode, toLoadBalancer, ...toPods, ...fromPods, toMetadata[metadata]]
        // What a pod sends to itself over cni0 does not always leave it.
        .filter(({ real: [place] }) => place !== client.from)
        .map((way) => ({ ...client, ...way })),
    ),
    ...fromTheNode.map((way) => ({ ...node, ...way })),
    {
      client: 'lan',
      from: 'lan',
      in: 'eth1',
      protocol: tcp,
      dialled: ['internet', 443],
      real: ['internet', 443],
      out: 'eth0',
    },
  ]
}
