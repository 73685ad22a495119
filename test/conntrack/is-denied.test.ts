import { expect, test } from 'vitest'
import type { Connection } from '../../agent/conntrack/connection.ts'
import { judgeBy } from '../../agent/conntrack/is-denied.ts'
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
