import { expect, test } from 'vitest'
import { findNearMisses } from '../../agent/policy/verdict-near.ts'
import { accept, client, drop, fromPod, networks, pod, policyOf, port } from './policy-of.ts'

const all = { ...port(80), protocols: [6], from: networks('198.51.100.7'), interfaces: ['eth0'] }

test.each<[string, Parameters<typeof accept>[1], object]>([
  [
    'the port',
    { ...all, ports: [...port(22).ports, ...port(8000, 8999).ports] },
    { field: 'ports', wanted: '22, 8000-8999' },
  ],
  ['the protocol', { ...all, protocols: [17, 99] }, { field: 'protocols', wanted: 'udp, 99' }],
  [
    'the interface',
    { ...all, interfaces: ['eth1', 'bond+'] },
    { field: 'interfaces', wanted: 'eth1, bond+' },
  ],
  ['the source', { ...all, from: networks('10.0.0.0/8') }, { field: 'from', wanted: '10.0.0.0/8' }],
  [
    'the source, of many',
    { ...all, from: { ...networks('10.0.0.0/8', '::1', '192.0.2.0/24'), sets: ['nodes'] } },
    { field: 'from', wanted: 'nodes, 10.0.0.0/8, ::1/128 and 1 more' },
  ],
  ['nobody', { ...all, from: networks() }, { field: 'from', wanted: 'nobody' }],
  ['the destination', { ...all, to: networks('192.0.2.2') }, { field: 'to', wanted: '192.0.2.2/32' }],
  ['the source port', { ...all, sourcePort: 67 }, { field: 'sourcePort', wanted: '67' }],
  [
    'the ICMP type',
    { icmpTypes: { ipv4: [{ type: 8 }, { type: 3, code: 4 }], ipv6: [] } },
    { field: 'icmpTypes', wanted: '8, 3/4' },
  ],
])('a rule misses by one field: %s', (_, match, wanted) => {
  const rule = { kind: 'rule', ruleset: 'test', name: 'near' }
  expect(findNearMisses(policyOf({ ingress: [accept('near', match), drop('rest')] }), client())).toEqual([
    { flow: 'ingress', rule, action: 'accept', ...wanted },
  ])
})

test('rules that miss by more, or not at all, or come later, or decide nothing, are none', () => {
  const ingress = [
    accept('two fields', { ...port(22), protocols: [17] }),
    accept('states', { states: ['ESTABLISHED'] as const }),
    drop('audited', port(22), { audit: true }),
    { kind: 'audit' as const, ruleset: 'watching', rules: [drop('audited', port(22))] },
    drop('decides'),
    accept('later', port(22)),
  ]
  expect(findNearMisses(policyOf({ ingress }), client())).toEqual([])
})

test('all flows are looked at that the connection got to', () => {
  const policy = policyOf({
    podIngress: [accept('a', port(22))],
    podEgress: [drop('b', port(22))],
    ingress: [drop('c', port(22))],
  })
  expect(findNearMisses(policy, fromPod()).map(({ flow, rule }) => [flow, rule.name])).toEqual([
    ['podIngress', 'a'],
    ['podEgress', 'b'],
  ])
})

test('failsafes that are not asked are no near misses', () => {
  const policy = policyOf({ ingress: [accept('kubelet', port(22), { kind: 'failsafe' })] })
  const dialled = { address: '192.0.2.1', port: 30_080 }
  expect(findNearMisses(policy, client())).toHaveLength(1)
  expect(findNearMisses(policy, client({ dialled, real: pod }))).toEqual([])
})
