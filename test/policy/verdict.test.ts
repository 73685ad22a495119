import { describe, expect, test } from 'vitest'
import type { Connection } from '../../agent/policy/connection.ts'
import type { PolicyStep } from '../../agent/policy/policy.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import {
  accept,
  at,
  client,
  clusterIp,
  drop,
  fromNode,
  fromPod,
  local,
  metadata,
  node,
  nodePort,
  pod,
  policyOf,
  port,
} from './policy-of.ts'

/** The flows a connection goes through, when each of them accepts. */
function flowsOf(connection: Connection): string[] {
  const { before, flow } = decideConnection(policyOf({}), connection)
  return [...before.map((decision) => decision.flow), flow]
}

describe('the flows that a connection goes through', () => {
  test.each<[string, Connection, string[]]>([
    ['a client, a process of the node', client(), ['ingress']],
    [
      'a client, another local port (hostPort of a process)',
      client({ dialled: nodePort, real: node }),
      ['ingress'],
    ],
    ['a client, a NodePort', client({ dialled: nodePort, real: pod, out: 'cni0' }), ['ingress']],
    [
      'a client, a NodePort of a pod elsewhere',
      client({ dialled: nodePort, real: pod, out: 'eth0' }),
      ['ingress'],
    ],
    ['a client, a ClusterIP', client({ dialled: clusterIp, real: pod, out: 'cni0' }), ['ingress']],
    [
      'a client on an interface by pattern',
      client({ in: 'wan3', dialled: nodePort, real: pod }),
      ['ingress'],
    ],
    ['a client, straight to a pod', client({ dialled: pod, out: 'cni0' }), ['podIngress']],
    [
      'a client, a metadata address the node answers',
      client({ dialled: metadata }),
      ['podEgress', 'ingress'],
    ],
    ['a pod, a process of the node', { ...local(), ...at(node) }, ['ingress']],
    ['a pod, a metadata address the node answers', { ...local(), ...at(metadata) }, ['podEgress', 'ingress']],
    ['a pod, metadata translated to the node', { ...local(), ...at(metadata, node) }, ['podEgress']],
    [
      'a pod, a NodePort of its node, to the node',
      { ...local(), ...at(nodePort, node) },
      ['ingress', 'podEgress'],
    ],
    [
      'a pod, a NodePort of its node, to a pod',
      fromPod({ dialled: nodePort, real: pod }),
      ['ingress', 'podEgress'],
    ],
    ['a pod, a ClusterIP of the node', { ...local(), ...at(clusterIp, node) }, ['podEgress']],
    ['a pod, a ClusterIP', fromPod({ dialled: clusterIp, real: pod }), ['podEgress']],
    ['a pod, outside', fromPod(), ['podIngress', 'podEgress']],
    ['the node, outside', fromNode(), ['egress']],
    ['the node, a ClusterIP', fromNode({ dialled: clusterIp, real: pod }), ['egress']],
    ['the same, over IPv6', ipv6(), ['ingress', 'podEgress']],
  ])('%s', (_, connection, wanted) => {
    expect(flowsOf(connection)).toEqual(wanted)
  })

  test('with every interface external, nothing counts as from a pod', () => {
    const { before, flow } = decideConnection({ ...policyOf({}), external: ['any'] }, fromPod())
    expect([before, flow]).toEqual([[], 'podIngress'])
  })

  test.each(flows)(
    '%s: when it denies, the connection is denied by it, and what follows is not asked',
    (flow) => {
      const denying = policyOf({ [flow]: [drop('no')] })
      for (const connection of [client(), fromNode(), fromPod(), { ...local(), ...at(metadata) }]) {
        const way = flowsOf(connection)
        const verdict = decideConnection(denying, connection)
        expect(verdict.action).toBe(way.includes(flow) ? 'drop' : 'accept')
        const last = way.includes(flow) ? way.indexOf(flow) : way.length - 1
        expect([...verdict.before, verdict].map((decision) => decision.flow)).toEqual(way.slice(0, last + 1))
      }
    },
  )
})

function ipv6(): Connection {
  return fromPod({
    family: 'ipv6',
    from: 'fd00:2::5',
    dialled: { address: '2001:0db8:0::1', port: 30_080 },
    real: { address: 'fd00:2::9', port: 8080 },
  })
}

test.each(['in', 'out'])('loopback passes everything: %s', (side) => {
  const everything = Object.fromEntries(flows.map((flow) => [flow, [drop('no')]]))
  const verdict = decideConnection(policyOf(everything), client({ out: 'eth0', [side]: 'lo' }))
  expect(verdict).toMatchObject({ action: 'accept', by: { kind: 'failsafe', name: 'loopback' } })
})

describe('failsafes', () => {
  const kubelet = accept('kubelet', port(80), { kind: 'failsafe' })
  const policy = policyOf({ ingress: [kubelet, drop('rest')] })

  test('stand before the rules for what is addressed to a process of the node', () => {
    expect(decideConnection(policy, client()).by).toMatchObject({ kind: 'failsafe', name: 'kubelet' })
  })

  test('are not asked of what was translated', () => {
    const dialled = { address: '192.0.2.1', port: 80 }
    expect(decideConnection(policy, client({ dialled, real: pod })).by.name).toBe('rest')
  })
})

describe('the steps of a flow', () => {
  const byAudit = { action: 'drop', by: { kind: 'rule', ruleset: 'test', name: 'a' } }
  const audit = (...rules: ReturnType<typeof drop>[]) => ({
    kind: 'audit' as const,
    ruleset: 'watching',
    rules,
  })
  test.each<[string, PolicyStep[], object]>([
    ['none: accepted', [], { action: 'accept', by: { kind: 'none', name: 'no rule' } }],
    [
      'the first match decides',
      [accept('a', port(81)), accept('b'), drop('c')],
      { action: 'accept', by: { name: 'b' } },
    ],
    [
      'the default at the end',
      [accept('a', port(81)), drop('d', {}, { kind: 'default', action: 'reject' })],
      { action: 'reject', by: { kind: 'default', name: 'd' } },
    ],
    [
      'a rule in audit mode is told and passed',
      [drop('a', {}, { audit: true }), accept('b')],
      { action: 'accept', by: { name: 'b' }, audited: [byAudit] },
    ],
    [
      'a rule in audit mode that does not match',
      [drop('a', port(81), { audit: true })],
      { action: 'accept', audited: [] },
    ],
    [
      'a rule in audit mode behind the decision',
      [accept('b'), drop('a', {}, { audit: true })],
      { action: 'accept', audited: [] },
    ],
    [
      'a ruleset in audit mode is told and passed',
      [audit(drop('a')), drop('b', {}, { action: 'reject' })],
      { action: 'reject', by: { name: 'b' }, audited: [byAudit] },
    ],
    [
      'its first match counts',
      [audit(accept('x'), drop('a')), drop('b')],
      { action: 'drop', by: { name: 'b' }, audited: [] },
    ],
    [
      'its acceptance decides nothing',
      [audit(accept('x')), drop('b')],
      { action: 'drop', by: { name: 'b' } },
    ],
    ['two of them', [audit(drop('a')), audit(drop('a'))], { action: 'accept', audited: [byAudit, byAudit] }],
    [
      'a limit is told of',
      [accept('a', {}, { limit: { rate: 1, unit: 'second', burst: 5, scope: { per: 'rule' } } })],
      { action: 'accept', limited: true },
    ],
    [
      'a count of connections is told of',
      [accept('a', {}, { connections: { max: 1, scope: { per: 'rule' } } })],
      { action: 'accept', limited: true },
    ],
    [
      'a drop of what exceeds a limit lets the first one on',
      [drop('a', {}, { connections: { max: 1, scope: { per: 'rule' } } }), accept('b')],
      { action: 'accept', by: { name: 'b' }, limited: true },
    ],
    [
      'and in audit mode tells nothing of it',
      [drop('a', {}, { audit: true, connections: { max: 1, scope: { per: 'rule' } } })],
      { action: 'accept', by: { kind: 'none' }, limited: false, audited: [] },
    ],
    [
      'nor in a ruleset in audit mode',
      [audit(drop('a', {}, { connections: { max: 1, scope: { per: 'rule' } } }))],
      { action: 'accept', limited: false, audited: [] },
    ],
    ['no limit', [accept('a')], { action: 'accept', limited: false }],
  ])('%s', (_, ingress, wanted) => {
    expect(decideConnection(policyOf({ ingress }), client())).toMatchObject(wanted)
  })
})

test('of a connection in two flows, both decisions are told', () => {
  const policy = policyOf({
    podIngress: [accept('first')],
    podEgress: [drop('second', { to: { cidrs: [parseCidr('203.0.113.9')], sets: [] } })],
  })
  expect(decideConnection(policy, fromPod())).toMatchObject({
    flow: 'podEgress',
    action: 'drop',
    by: { name: 'second' },
    before: [{ flow: 'podIngress', action: 'accept', by: { name: 'first' } }],
  })
})
