import { expect, test } from 'vitest'
import type { ClusterFacts, NodeFacts, Policy } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'

const facts = { external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: ['192.0.2.1'].map(parseCidr) }
const closed = rulesetOf({ defaults: { ingress: 'reject', egress: 'reject' } })
const known = { nodes: [], apiServers: ['192.0.2.10'].map(parseCidr), podCIDRs: [] }

function policyOf(ports: NodeFacts['ports'], cluster: ClusterFacts = {}): Policy {
  const { rulesets } = parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(closed) }])
  return resolvePolicy(rulesets, {
    facts: { ...facts, ...(ports === undefined ? {} : { ports }) },
    cluster,
    now: 0,
  })
}

function passes(policy: Policy, from: string, port: number): string {
  const destination = { address: '192.0.2.1', port }
  const way = {
    family: 'ipv4',
    protocol: 6,
    from,
    dialled: destination,
    real: destination,
    in: 'eth0',
  } as const
  const { action, by } = decideConnection(policy, way)
  return `${action} by ${by.kind} ${by.name}`
}

test.each([
  ['the kubelet where it usually is', undefined, {}, '10.0.0.1', 10_250, 'accept by failsafe kubelet'],
  ['the kubelet where it listens', { kubelet: 10_350 }, {}, '10.0.0.1', 10_350, 'accept by failsafe kubelet'],
  ['not where it does not', { kubelet: 10_350 }, {}, '10.0.0.1', 10_250, 'reject by default ingress'],
  ['the kubelet, from the internet', undefined, {}, '203.0.113.1', 10_250, 'reject by default ingress'],
  ['no API server on a worker', {}, {}, '10.0.0.1', 6443, 'reject by default ingress'],
  ['the API server where it runs', { apiServer: 443 }, {}, '10.0.0.1', 443, 'accept by failsafe api server'],
  [
    'etcd, from API servers',
    { etcd: 2379, etcdPeer: 2380 },
    known,
    '192.0.2.10',
    2380,
    'accept by failsafe etcd',
  ],
  ['etcd, from others', { etcd: 2379, etcdPeer: 2380 }, known, '10.0.0.1', 2379, 'reject by default ingress'],
  [
    'etcd, while nobody knows the API servers',
    { etcd: 2379 },
    {},
    '192.0.2.10',
    2379,
    'reject by default ingress',
  ],
])('%s', (_, ports, cluster, from, port, expected) => {
  expect(passes(policyOf(ports, cluster), from, port)).toBe(expected)
})

test('what the node opens to the API servers passes once they are known', () => {
  const destination = { address: '192.0.2.10', port: 6443 }
  const way = {
    family: 'ipv4',
    protocol: 6,
    from: '192.0.2.1',
    dialled: destination,
    real: destination,
    out: 'eth0',
  } as const
  expect(decideConnection(policyOf({}, known), way).by.name).toBe('api servers')
  expect(decideConnection(policyOf({}), way).action).toBe('reject')
})
