import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress, serviceAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'

const backends = await usableBackends()
const variants = backends.flatMap((backend) =>
  (['bridge', 'routed'] as const).map((pods) => ({ backend, pods })),
)
const addresses = { ...clusterAddress, ...serviceAddress }

type HostName = Exclude<keyof Cluster, 'close'>
type Place = keyof typeof addresses

type Row = readonly [
  name: string,
  from: HostName,
  to: Place,
  protocol: 'tcp' | 'udp',
  port: number,
  /** Who answers, on which port. */
  server: `${HostName} ${number}`,
  /** Whose address the server sees. */
  seen: Place,
]

const rows: readonly Row[] = [
  ['a process of the node', 'internet', 'node', 'tcp', 22, 'node 22', 'internet'],
  ['a process, by another client', 'internet2', 'node', 'tcp', 22, 'node 22', 'internet2'],
  ['a process, over UDP', 'internet', 'node', 'udp', 8472, 'node 8472', 'internet'],
  ['a process, on the private address', 'private', 'nodePrivate', 'tcp', 22, 'node 22', 'private'],
  [
    'a process, on the private address, over UDP',
    'private',
    'nodePrivate',
    'udp',
    8472,
    'node 8472',
    'private',
  ],
  ['a process, through eth1', 'lan', 'nodeEth1', 'tcp', 22, 'node 22', 'lan'],
  ['a process, through eth1 on the address of eth0', 'lan', 'node', 'tcp', 22, 'node 22', 'lan'],
  [
    'a process, through eth0 on the address of eth1',
    'internet',
    'nodeEth1',
    'tcp',
    22,
    'node 22',
    'internet',
  ],
  ['a process, from another node', 'node2', 'nodePrivate', 'tcp', 10_250, 'node 10250', 'node2Private'],
  ['a process, from a pod', 'pod', 'node', 'tcp', 10_250, 'node 10250', 'pod'],
  ["a process, from another node's pod", 'pod2', 'nodePrivate', 'tcp', 10_250, 'node 10250', 'pod2'],
  ['a port for health checks', 'internet', 'node', 'tcp', 32_100, 'node 32100', 'internet'],

  ['a NodePort, pod on the node', 'internet', 'node', 'tcp', 30_080, 'pod 8080', 'nodePods'],
  ['a NodePort on the private address', 'private', 'nodePrivate', 'tcp', 30_080, 'pod 8080', 'nodePods'],
  ['a NodePort through eth1', 'lan', 'nodeEth1', 'tcp', 30_080, 'pod 8080', 'nodePods'],
  ['a NodePort, pod on another node', 'internet', 'node', 'tcp', 30_081, 'pod2 8080', 'nodePrivate'],
  ['a NodePort, process of the node', 'internet', 'node', 'tcp', 30_082, 'node 9090', 'internet'],
  ['a NodePort with externalTrafficPolicy Local', 'internet', 'node', 'tcp', 30_083, 'pod 8080', 'internet'],
  ['a NodePort over UDP', 'internet', 'node', 'udp', 30_053, 'pod 5353', 'nodePods'],
  ['a NodePort from a pod to itself', 'pod', 'node', 'tcp', 30_080, 'pod 8080', 'nodePods'],
  ['a NodePort from a pod to another node', 'pod', 'node', 'tcp', 30_081, 'pod2 8080', 'nodePrivate'],
  ['a NodePort from the node', 'node', 'node', 'tcp', 30_080, 'pod 8080', 'nodePods'],
  ['a hostPort', 'internet', 'node', 'tcp', 8443, 'pod 8443', 'internet'],
  ['a hostPort from a pod of the node', 'podB', 'node', 'tcp', 8443, 'pod 8443', 'nodePods'],
  ['a load balancer', 'internet', 'loadBalancer', 'tcp', 443, 'pod 8080', 'nodePods'],
  ['a load balancer, from a pod', 'podB', 'loadBalancer', 'tcp', 443, 'pod 8080', 'nodePods'],

  ['straight to a pod', 'internet', 'pod', 'tcp', 8080, 'pod 8080', 'internet'],
  ['straight to a pod over UDP', 'private', 'podB', 'udp', 5353, 'podB 5353', 'private'],
  ['straight to a pod through eth1', 'lan', 'pod', 'tcp', 8080, 'pod 8080', 'lan'],
  ['straight to a pod of another node', 'internet', 'pod2', 'tcp', 8080, 'pod2 8080', 'internet'],
  ['from another node to a pod', 'node2', 'pod', 'tcp', 8080, 'pod 8080', 'node2Private'],
  ["from another node's pod to a pod", 'pod2', 'pod', 'tcp', 8080, 'pod 8080', 'pod2'],
  ['from a pod to another one on the node', 'pod', 'podB', 'tcp', 8080, 'podB 8080', 'pod'],
  ['from a pod to another one elsewhere', 'pod', 'pod2', 'udp', 5353, 'pod2 5353', 'pod'],
  ['from the node to its pod', 'node', 'pod', 'tcp', 8080, 'pod 8080', 'nodePods'],

  ['cluster DNS from a pod', 'pod', 'dns', 'udp', 53, 'podB 5353', 'pod'],
  ['cluster DNS over TCP from a pod', 'pod', 'dns', 'tcp', 53, 'podB 5353', 'pod'],
  ['cluster DNS from the node', 'node', 'dns', 'udp', 53, 'podB 5353', 'nodePods'],
  ['a ClusterIP from the node', 'node', 'web', 'tcp', 443, 'pod 8080', 'nodePods'],
  ['the API server from a pod', 'pod', 'kubernetes', 'tcp', 443, 'node 6443', 'pod'],
  ['the API server from the node', 'node', 'kubernetes', 'tcp', 443, 'node 6443', 'node'],

  ['a pod to the internet', 'pod', 'internet', 'tcp', 443, 'internet 443', 'node'],
  ['a pod to the internet over UDP', 'podB', 'internet', 'udp', 53, 'internet 53', 'node'],
  ['a pod to the private network', 'pod', 'private', 'tcp', 443, 'private 443', 'node'],
  ['a pod through eth1', 'pod', 'lan', 'tcp', 443, 'lan 443', 'nodeEth1'],
  ['a pod of another node to the internet', 'pod2', 'internet', 'tcp', 443, 'internet 443', 'pod2'],
  ['a pod to the metadata service', 'pod', 'metadata', 'tcp', 80, 'metadata 80', 'node'],
  ['the node to the internet', 'node', 'internet', 'tcp', 443, 'internet 443', 'node'],
  ['the node to the internet over UDP', 'node', 'internet', 'udp', 53, 'internet 53', 'node'],
  ['the node through eth1', 'node', 'lan', 'tcp', 443, 'lan 443', 'nodeEth1'],
  ['the node to another node', 'node', 'node2Private', 'tcp', 10_250, 'node2 10250', 'nodePrivate'],
  ['the node to the metadata service', 'node', 'metadata', 'tcp', 80, 'metadata 80', 'node'],
  ['through the node from eth1 to eth0', 'lan', 'internet', 'tcp', 443, 'internet 443', 'lan'],
]

/** Makes all calls at once, in both families. */
async function expectRows(cluster: Cluster, table: readonly Row[]): Promise<void> {
  const calls = table.flatMap(([name, from, to, protocol, port, server, seen]) =>
    families.map(async (family) => {
      const address = addresses[to][family]
      const { outcome, visit } = await cluster[from].call({ protocol, address, port, silenceMs: 3000 })
      const got = visit === undefined ? outcome : `${visit.server} ${visit.port} sees ${visit.client}`
      return { name: `${name}, ${family}`, got, expected: `${server} sees ${addresses[seen][family]}` }
    }),
  )
  const done = await Promise.all(calls)
  expect(done.map(({ name, got }) => `${name}: ${got}`)).toEqual(
    done.map(({ name, expected }) => `${name}: ${expected}`),
  )
}

describe.each(variants)('a cluster on iptables-$backend, pods $pods', ({ backend, pods }) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend, pods })
  })
  afterAll(async () => cluster.close())

  test('every way in and out is open, and shows servers the address that it should', async () => {
    await expectRows(cluster, rows)
  })

  test('a port that is chosen by hand is the port that the server sees', async () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      const port = protocol === 'tcp' ? 22 : 8472
      for (const family of families) {
        const { visit } = await cluster.internet.call({
          protocol,
          address: clusterAddress.node[family],
          port,
          sourcePort: 547,
        })
        const wanted = { client: clusterAddress.internet[family], clientPort: 547 }
        expect(visit, `${protocol} ${family}`).toMatchObject(wanted)
        const last = (await cluster.node.visits(port)).at(-1)
        expect(last, `visits, ${protocol} ${family}`).toMatchObject(wanted)
      }
    }
  })

  test('a Service without endpoints is refused', async () => {
    for (const family of families) {
      const address = clusterAddress.node[family]
      // An ICMP error that comes back before connect() has returned ends the attempt only at the next SYN, 1 s later.
      const probe = { protocol: 'tcp', address, port: 30_099, silenceMs: 5000 } as const
      expect(await cluster.internet.probe(probe), `in ${family}`).toBe('refused')
    }
  })
})

describe.each(backends)('options of a cluster on iptables-%s', (backend) => {
  test('a NetworkPolicy, no masquerade, and the metadata service as a process of the node', async () => {
    const cluster = await createCluster({
      backend,
      networkPolicy: true,
      masquerade: false,
      metadata: 'process',
    })
    try {
      await expectRows(cluster, [
        ["a pod's own address", 'pod', 'internet', 'tcp', 443, 'internet 443', 'pod'],
        ['metadata from a pod', 'pod', 'metadata', 'tcp', 80, 'node 988', 'pod'],
        ['metadata from the node', 'node', 'metadata', 'tcp', 80, 'metadata 80', 'node'],
        ['a port that the policy leaves open', 'internet', 'node', 'tcp', 8443, 'pod 8443', 'internet'],
        ['the node to itself', 'node', 'kubernetes', 'tcp', 443, 'node 6443', 'node'],
      ])
      const closed = families.flatMap((family) => [
        { protocol: 'tcp', address: clusterAddress.node[family], port: 30_080 } as const,
        { protocol: 'tcp', address: clusterAddress.pod[family], port: 8080 } as const,
      ])
      const outcomes = await Promise.all(closed.map(async (probe) => cluster.internet.probe(probe)))
      expect(outcomes).toEqual(closed.map(() => 'silence'))
    } finally {
      await cluster.close()
    }
  })

  test('kube-proxy in IPVS mode, and the metadata service on another port', async () => {
    const cluster = await createCluster({ backend, proxyMode: 'ipvs', metadata: 'port' })
    try {
      await expectRows(cluster, [
        ['a NodePort', 'internet', 'node', 'tcp', 30_080, 'node 30080', 'internet'],
        ['a NodePort over UDP', 'internet', 'node', 'udp', 30_053, 'node 30053', 'internet'],
        ['a load balancer', 'internet', 'loadBalancer', 'tcp', 443, 'node 443', 'internet'],
        ['cluster DNS from a pod', 'pod', 'dns', 'udp', 53, 'node 53', 'pod'],
        ['a hostPort', 'internet', 'node', 'tcp', 8443, 'pod 8443', 'internet'],
        ['metadata from a pod', 'pod', 'metadata', 'tcp', 80, 'metadata 8080', 'node'],
        ['metadata from the node', 'node', 'metadata', 'tcp', 80, 'metadata 80', 'node'],
      ])
    } finally {
      await cluster.close()
    }
  })
})
