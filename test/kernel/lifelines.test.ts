import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress, serviceAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import type { Protocol } from '../sandbox/protocol.ts'
import { enforce, rulesetOf } from './enforce.ts'

type Row = readonly [
  name: string,
  from: 'node' | 'pod' | 'private',
  to: (family: Family) => string,
  protocol: Protocol,
  port: number,
]

const addresses = { ...clusterAddress, ...serviceAddress }
const place = (name: keyof typeof addresses) => (family: Family) => addresses[name][family]
const loopback = (family: Family) => (family === 'ipv4' ? '127.0.0.1' : '::1')

/** What no default of a ruleset can close. */
const lifelines: readonly Row[] = [
  ['DNS of the node', 'node', place('internet'), 'udp', 53],
  ['DNS of a pod, outside', 'pod', place('internet'), 'udp', 53],
  ['DNS of a pod, in the cluster', 'pod', place('dns'), 'udp', 53],
  ['DNS of a pod, in the cluster, over TCP', 'pod', place('dns'), 'tcp', 53],
  ['loopback', 'node', loopback, 'tcp', 22],
  ['loopback, over UDP', 'node', loopback, 'udp', 8472],
  ['the node to its own address', 'node', place('node'), 'tcp', 22],
  ['a pod to its node', 'pod', place('nodePods'), 'tcp', 22],
  ['the kubelet, from the private network', 'private', place('nodePrivate'), 'tcp', 10_250],
]

/** What needs only its replies to come in. */
const outward: readonly Row[] = [
  ['the node to the internet', 'node', place('internet'), 'tcp', 443],
  ['a pod to the internet', 'pod', place('internet'), 'tcp', 443],
]

const nothingIn = { ingress: 'drop', podIngress: 'drop' }

describe.each(await usableBackends())('what a node lives on, on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend })
  })
  afterAll(async () => cluster.close())

  test.each([
    ['nothing new may come in', nothingIn, 'accepted'],
    ['nothing may go out either', { ...nothingIn, egress: 'drop', podEgress: 'drop' }, 'silence'],
  ])('passes when %s, though nobody knows his neighbours yet', async (_, defaults, outcomeOutward) => {
    await enforce(cluster.node, backend, rulesetOf({ defaults }))
    for (const host of [cluster.node, cluster.router]) await host.exec('ip', ['neigh', 'flush', 'all'])
    const rows = [
      ...lifelines.map((row) => ({ row, expected: 'accepted' })),
      ...outward.map((row) => ({ row, expected: outcomeOutward })),
    ]
    const probes = families.flatMap((family) =>
      rows.map(async ({ row: [name, from, to, protocol, port], expected }) => {
        const silence = expected === 'silence' ? {} : { silenceMs: 5_000 }
        const outcome = await cluster[from].probe({ protocol, address: to(family), port, ...silence })
        return { name: `${family}, ${name}`, outcome, expected }
      }),
    )
    const seen = await Promise.all(probes)
    expect(seen.map(({ name, outcome }) => `${name}: ${outcome}`)).toEqual(
      seen.map(({ name, expected }) => `${name}: ${expected}`),
    )
  })
})
