import { expect, test } from 'vitest'
import type { Connection } from '../../agent/conntrack/connection.ts'
import { judgeBy } from '../../agent/conntrack/is-denied.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { drop, policyOf } from '../policy/policy-of.ts'

const policy = {
  ...policyOf({ ingress: [drop('all')], egress: [drop('all')] }),
  keepsEstablished: new Set(['test']),
}
const tcp = { family: 'ipv4', protocol: 6, from: '192.0.2.1', interface: 'eth0' } as const
const to = (port: number) => ({
  dialled: { address: '203.0.113.9', port },
  real: { address: '203.0.113.9', port },
})

const rows: readonly (readonly [name: string, kept: boolean, connection: Connection])[] = [
  ['a client of the node', true, { ...tcp, flow: 'ingress', ...to(22) }],
  ['an API server at the kubelet', false, { ...tcp, flow: 'ingress', ...to(10_250) }],
  ['the same by UDP', true, { ...tcp, protocol: 17, flow: 'ingress', ...to(10_250) }],
  ['the node at a database', true, { ...tcp, flow: 'egress', ...to(5_432) }],
  ['the node at an API server', false, { ...tcp, flow: 'egress', ...to(6_443) }],
  [
    'the node at a Service of API servers on another port',
    false,
    { ...tcp, flow: 'egress', ...to(443), real: { address: '203.0.113.9', port: 8_443 } },
  ],
]

test.each(rows)('where standing connections are let be: %s, kept %s', (_, kept, connection) => {
  expect(judgeBy(policy)(connection)).toBe(!kept)
})

const everywhere = {
  facts: { external: ['eth0'], interfaces: ['eth0'], addresses: [] },
  cluster: noClusterFacts,
  now: 0,
}
test.each([
  ['both keep', true, 'keep', 'enforce'],
  ['one cuts', false, 'cut', 'enforce'],
  ['the one that cuts is only audited', true, 'cut', 'audit'],
])('the default of two rulesets, where %s: kept %s', (_, kept, established, mode) => {
  const files = [{ established: 'keep' }, { established, mode }].map((spec, index) => ({
    path: `${index}.yaml`,
    bytes: Buffer.from(rulesetOf({ ...spec, defaults: { ingress: 'drop' } }, `r${index}`)),
  }))
  const resolved = resolvePolicy(parseRulesets(files).rulesets, everywhere)
  expect(judgeBy(resolved)({ ...tcp, from: '203.0.113.1', flow: 'ingress', ...to(22) })).toBe(!kept)
})
