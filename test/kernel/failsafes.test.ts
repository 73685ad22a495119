import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openNetwork } from '../../agent/daemon/node.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { unreadClusterFacts } from '../../agent/policy/policy.ts'
import type { ClusterFacts } from '../../agent/policy/policy.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress, podNetwork, serviceAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import type { Host } from '../sandbox/host.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { ip } from '../sandbox/wire.ts'
import { enforceKnowing, rulesetOf } from './enforce.ts'

const addresses = { ...clusterAddress, ...serviceAddress }
type Place = keyof typeof addresses
type Client = Exclude<keyof Cluster, 'close'>
type Row = readonly [
  name: string,
  from: Client,
  to: Place,
  protocol: 'tcp' | 'udp',
  port: number,
  outcome: Outcome,
]

/** Everything is closed, and no rule opens anything. */
const nothing = { ingress: 'drop', egress: 'drop', podIngress: 'drop', podEgress: 'drop' }

/** `internet` is an API server with a public address, `private` a neighbour that is no node. */
const known: ClusterFacts = {
  nodes: [clusterAddress.nodePrivate, clusterAddress.node2Private].flatMap(both),
  apiServers: both(clusterAddress.internet),
  podCIDRs: both(podNetwork.node),
}

describe.each(await usableBackends())('failsafes on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend })
    await Promise.all([cluster.internet.listen('tcp', 80), cluster.private.listen('tcp', 53)])
  })
  afterAll(async () => cluster.close())

  const allKnown: readonly Row[] = [
    ['the kubelet, from a node', 'node2', 'nodePrivate', 'tcp', 10_250, 'accepted'],
    ['the kubelet, from an API server', 'internet', 'node', 'tcp', 10_250, 'accepted'],
    ['the kubelet, from a private stranger', 'private', 'nodePrivate', 'tcp', 10_250, 'silence'],
    ['the kubelet, from a stranger', 'internet2', 'node', 'tcp', 10_250, 'silence'],
    ['the API server, from a node', 'node2', 'nodePrivate', 'tcp', 6443, 'accepted'],
    ['the API server, from one that joins', 'private', 'nodePrivate', 'tcp', 6443, 'accepted'],
    ['the API server, from a stranger', 'internet2', 'node', 'tcp', 6443, 'silence'],
    ['SSH, from a node', 'node2', 'nodePrivate', 'tcp', 22, 'silence'],
    ['DNS to the name server of the host', 'node', 'private', 'udp', 53, 'accepted'],
    ['DNS to the name server of the host, over TCP', 'node', 'private', 'tcp', 53, 'accepted'],
    ['DNS of the cluster', 'node', 'dns', 'udp', 53, 'accepted'],
    ['DNS to a stranger', 'node', 'internet', 'udp', 53, 'silence'],
    ['DNS of a pod', 'pod', 'dns', 'udp', 53, 'accepted'],
    ['DNS of a pod, to a server of its choice', 'pod', 'internet', 'udp', 53, 'accepted'],
    ['the node to an API server', 'node', 'internet', 'tcp', 443, 'accepted'],
    ['the node to a stranger', 'node', 'private', 'tcp', 443, 'silence'],
  ]
  const unread: readonly Row[] = [
    ['the kubelet, from a private stranger', 'private', 'nodePrivate', 'tcp', 10_250, 'accepted'],
    ['the kubelet, from a stranger', 'internet', 'node', 'tcp', 10_250, 'silence'],
    ['the node to what may be an API server', 'node', 'internet', 'tcp', 443, 'accepted'],
    ['the node to what is none', 'node', 'internet', 'tcp', 80, 'silence'],
  ]
  const restarted: readonly Row[] = [
    ['the kubelet, from an API server', 'internet', 'node', 'tcp', 10_250, 'accepted'],
    ['the kubelet, from a stranger', 'internet2', 'node', 'tcp', 10_250, 'silence'],
  ]
  const off: readonly Row[] = [
    ['the kubelet, from a node', 'node2', 'nodePrivate', 'tcp', 10_250, 'silence'],
    ['the kubelet, from an API server', 'internet', 'node', 'tcp', 10_250, 'silence'],
    ['the API server, from a node', 'node2', 'nodePrivate', 'tcp', 6443, 'silence'],
    ['the API server, from the one address', 'private', 'nodePrivate', 'tcp', 6443, 'accepted'],
    ['DNS to the name server of the host', 'node', 'private', 'udp', 53, 'silence'],
    ['DNS to the one address', 'node', 'internet', 'udp', 53, 'accepted'],
    ['DNS of a pod', 'pod', 'internet', 'udp', 53, 'accepted'],
    ['the node to an API server', 'node', 'internet', 'tcp', 443, 'silence'],
  ]
  const narrowed = {
    kubelet: 'off',
    apiServers: 'off',
    apiServer: { from: ['own'] },
    dns: { to: both(clusterAddress.internet).map(({ address }) => address) },
  }
  const sets = { own: both(clusterAddress.private).map(({ address }) => address) }

  test.each<[string, ClusterFacts, object, readonly Row[]]>([
    ['with nothing known', unreadClusterFacts, {}, unread],
    ['with all known', known, {}, allKnown],
    // The sets still hold who was known before.
    ['with nothing known again', unreadClusterFacts, {}, restarted],
    ['narrowed and switched off', known, { failsafe: narrowed, sets }, off],
  ])('let through what the node lives on, %s', async (_, facts, spec, rows) => {
    await enforceOn(cluster.node, backend, facts, { defaults: nothing, ...spec })
    // Else a connection of the row before in the table of what stands would answer for this one.
    await cluster.node.exec('conntrack', ['--flush'])
    const seen = await Promise.all(
      rows.flatMap((row) => families.map(async (family) => probe(cluster, row, family))),
    )
    expect(seen.map(([found]) => found)).toEqual(seen.map(([, expected]) => expected))
  })
})

describe.each(await usableBackends())('tunnels on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend })
    const { node, node2 } = cluster
    const { nodePrivate, node2Private } = clusterAddress
    await Promise.all([
      vxlan(node, '10.99.0.1/24', nodePrivate.ipv4, node2Private.ipv4),
      vxlan(node2, '10.99.0.2/24', node2Private.ipv4, nodePrivate.ipv4),
      vxlan(cluster.private, '10.99.0.9/24', clusterAddress.private.ipv4, nodePrivate.ipv4),
      node2.listen('tcp', 22),
    ])
  })
  afterAll(async () => cluster.close())

  const reach = async (host: Host, address: string, silenceMs?: number) =>
    host.probe({ protocol: 'tcp', address, port: 22, ...(silenceMs === undefined ? {} : { silenceMs }) })

  test('let nodes through in both ways, and nobody else', async () => {
    const { node, node2, private: stranger } = cluster
    // Nothing is closed: whoever knows where the tunnel ends is in the network of the pods.
    expect(await reach(stranger, '10.99.0.1', 5_000)).toBe('accepted')

    await enforceOn(node, backend, known, { defaults: nothing })
    await node.exec('conntrack', ['--flush'])
    expect(await reach(node2, '10.99.0.1', 5_000)).toBe('accepted')
    expect(await reach(node, '10.99.0.2', 5_000)).toBe('accepted')
    expect(await reach(stranger, '10.99.0.1')).toBe('silence')

    await enforceOn(node, backend, known, { defaults: nothing, failsafe: { tunnels: 'off' } })
    await node.exec('conntrack', ['--flush'])
    expect(await reach(node2, '10.99.0.1')).toBe('silence')
  })
})

/** Rules that follow from what is seen on the node itself; its name server is of the sandbox, not of this machine. */
async function enforceOn(node: Host, backend: Backend, cluster: ClusterFacts, spec: object): Promise<void> {
  const network = await openNetwork(node.pid, backend)
  const facts = { ...(await network.readFacts(true)), resolvers: both(clusterAddress.private) }
  await enforceKnowing(node, backend, { facts, cluster }, rulesetOf(spec))
}

async function probe(cluster: Cluster, row: Row, family: Family): Promise<[string, string]> {
  const [name, from, to, protocol, port, expected] = row
  const wait = expected === 'silence' ? {} : { silenceMs: 5_000 }
  const outcome = await cluster[from].probe({ protocol, address: addresses[to][family], port, ...wait })
  return [`${name}, ${family}: ${outcome}`, `${name}, ${family}: ${expected}`]
}

async function vxlan(host: Host, inner: string, local: string, remote: string): Promise<void> {
  await ip(host, [
    `link add pods type vxlan id 7 dstport 4789 local ${local} remote ${remote}`,
    `address add ${inner} dev pods`,
    'link set pods up',
  ])
}

function both(address: Readonly<Record<Family, string>>) {
  return families.map((family) => parseCidr(address[family]))
}
