import { describe, expect, test } from 'vitest'
import type { Connection } from '../../agent/policy/connection.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import type { Flow } from '../../agent/ruleset/ruleset.ts'
import {
  at,
  client,
  clusterIp,
  drop,
  fromNode,
  fromPod,
  local,
  metadata,
  networks,
  node,
  nodePort,
  outside,
  pod,
  policyOf,
  port,
} from './policy-of.ts'

/** Whether a rule of a flow matches: it is the only one, and denies. */
function matches(flow: Flow, match: Parameters<typeof drop>[1], connection: Connection, sets = {}): boolean {
  return decideConnection(policyOf({ [flow]: [drop('one', match)] }, sets), connection).action === 'drop'
}

const ping = { protocol: 1, icmp: { type: 8, code: 0 } }
const unreachable = { protocol: 1, icmp: { type: 3, code: 4 } }
const v6 = {
  family: 'ipv6',
  from: '2001:db8:7::1',
  dialled: { address: '2001:db8::1', port: 80 },
} as const

describe('what a rule of ingress matches', () => {
  test.each<[string, boolean, Parameters<typeof drop>[1], Partial<Connection>]>([
    ['nothing asked', true, {}, {}],
    ['a state, which no first packet has', false, { states: ['ESTABLISHED'] }, {}],
    ['even untracked', false, { states: ['RELATED', 'ESTABLISHED', 'UNTRACKED'] }, {}],
    ['the interface', true, { interfaces: ['eth1', 'eth0'] }, {}],
    ['another interface', false, { interfaces: ['eth1'] }, {}],
    ['a pattern of interfaces', true, { interfaces: ['eth+'] }, {}],
    ['the pattern itself', true, { interfaces: ['eth0+'] }, {}],
    ['a longer name', false, { interfaces: ['eth'] }, {}],
    ['the interface it goes out on is none of it', false, { interfaces: ['cni0'] }, { out: 'cni0' }],
    ['the protocol', true, { protocols: [17, 6] }, {}],
    ['any protocol', true, { protocols: ['any'] }, { protocol: 47 }],
    ['another protocol', false, { protocols: [17] }, {}],
    ['authentication headers', true, { protocols: [51] }, { protocol: 51 }],
    ['authentication headers over IPv6', true, { protocols: [51] }, { ...v6, protocol: 51 }],
    ['icmp', true, { protocols: [1] }, ping],
    ['icmp in IPv6, which is nothing', false, { protocols: [1] }, { ...v6, ...ping }],
    ['icmpv6 in IPv4, which is nothing', false, { protocols: [58] }, { protocol: 58 }],
    ['icmpv6', true, { protocols: [58] }, { ...v6, protocol: 58 }],
    ['an icmp type with any code', true, { protocols: [1], icmpTypes: types({ type: 3 }) }, unreachable],
    ['with the code', true, { protocols: [1], icmpTypes: types({ type: 3, code: 4 }) }, unreachable],
    ['with another code', false, { protocols: [1], icmpTypes: types({ type: 3, code: 0 }) }, unreachable],
    ['another icmp type', false, { protocols: [1], icmpTypes: types({ type: 3 }) }, ping],
    [
      'icmp types of the other family',
      false,
      { protocols: [1, 58], icmpTypes: types({ type: 3 }) },
      { ...v6, protocol: 58, icmp: { type: 3, code: 0 } },
    ],
    ['the port', true, port(80), {}],
    ['the last port of a range', true, port(79, 80), {}],
    ['the first port of a range', true, port(80, 81), {}],
    ['the port before a range', false, port(81, 90), {}],
    ['the port after a range', false, port(70, 79), {}],
    ['no ports named', true, { ports: [] }, {}],
    ['a port where the protocol has none', false, port(80), { dialled: { address: '192.0.2.1' } }],
    ['the source port', true, { sourcePort: 67 }, { fromPort: 67 }],
    ['another source port', false, { sourcePort: 67 }, {}],
    ['the source', true, { from: networks('198.51.100.0/24') }, {}],
    ['the last address of a network', true, { from: networks('198.51.100.4/30') }, {}],
    ['another source', false, { from: networks('198.51.100.8/29') }, {}],
    ['all of IPv4', true, { from: networks('0.0.0.0/0') }, {}],
    ['all of IPv6 for an IPv4 packet', false, { from: networks('::/0') }, {}],
    ['a network of IPv6', true, { from: networks('2001:db8:7::/48') }, v6],
    ['IPv4 networks alone for an IPv6 packet', false, { from: networks('0.0.0.0/0') }, v6],
    ['nobody', false, { from: networks() }, {}],
    ['the destination', true, { to: networks('192.0.2.1') }, {}],
    ['another destination', false, { to: networks('192.0.2.2') }, {}],
    ['to nobody', false, { to: networks() }, {}],
    ['a set of the cluster', true, { from: { cidrs: [], sets: ['nodes'] } }, {}],
    ['another set of the cluster', false, { from: { cidrs: [], sets: ['podCIDRs'] } }, {}],
    ['an empty set of the cluster', false, { from: { cidrs: [], sets: ['apiServers'] } }, {}],
    ['a set beside networks', true, { from: { ...networks('10.0.0.0/8'), sets: ['nodes'] } }, {}],
    ['a set without members of the family', false, { from: { cidrs: [], sets: ['nodes'] } }, v6],
    ['all but one field', false, { ...port(80), protocols: [6], from: networks('10.0.0.0/8') }, {}],
  ])('%s: %s', (_, wanted, match, connection) => {
    const sets = { nodes: ['198.51.100.0/28'], podCIDRs: ['10.2.0.0/16', 'fd00:2::/64'] }
    expect(matches('ingress', match, client(connection), sets)).toBe(wanted)
  })
})

function types(...ipv4: readonly { type: number; code?: number }[]) {
  return { ipv4, ipv6: [] }
}

const many = Array.from({ length: 13 }, (_, index) => `203.0.113.${index}`)
const dozen = many.slice(1)
const toService = {
  dialled: { address: '203.0.113.9', port: 443 },
  real: { address: '10.2.0.9', port: 8443 },
}

describe('what a rule looks at where the destination was translated', () => {
  test.each<[string, boolean, Flow, Parameters<typeof drop>[1], Connection]>([
    ['ingress: the port dialled', true, 'ingress', port(30_080), client(at(nodePort, pod))],
    ['ingress: not the real port', false, 'ingress', port(8080), client(at(nodePort, pod))],
    [
      'ingress: the address dialled',
      true,
      'ingress',
      { to: networks('192.0.2.1') },
      client(at(nodePort, pod)),
    ],
    [
      'ingress: not the real address',
      false,
      'ingress',
      { to: networks('10.2.0.9') },
      client(at(nodePort, pod)),
    ],
    ['ingress, from a pod: the port dialled', true, 'ingress', port(30_080), fromPod(at(nodePort, pod))],
    ['egress: the real port', true, 'egress', port(8443), fromNode(toService)],
    ['egress: the port dialled', true, 'egress', port(443), fromNode(toService)],
    ['egress: another port', false, 'egress', port(80), fromNode(toService)],
    ['egress: the real address', true, 'egress', { to: networks('10.2.0.9') }, fromNode(toService)],
    ['egress: the address dialled', true, 'egress', { to: networks('203.0.113.9') }, fromNode(toService)],
    [
      'egress: both dialled',
      true,
      'egress',
      { to: networks('203.0.113.9'), ...port(443) },
      fromNode(toService),
    ],
    ['egress: both real', true, 'egress', { to: networks('10.2.0.9'), ...port(8443) }, fromNode(toService)],
    ['egress: one of each', false, 'egress', { to: networks('10.2.0.9'), ...port(443) }, fromNode(toService)],
    ['egress: a dozen networks, dialled', true, 'egress', { to: networks(...dozen) }, fromNode(toService)],
    [
      'egress: with one twice',
      true,
      'egress',
      { to: networks(...dozen, dozen[0] ?? '') },
      fromNode(toService),
    ],
    [
      'egress: with some of the other family',
      true,
      'egress',
      { to: networks(...dozen, '::/0') },
      fromNode(toService),
    ],
    ['egress: thirteen, dialled', false, 'egress', { to: networks(...many) }, fromNode(toService)],
    ['egress: thirteen, real', true, 'egress', { to: networks(...many) }, fromNode({ dialled: outside })],
    [
      'egress: thirteen, one of them everything',
      true,
      'egress',
      { to: networks(...many, '0.0.0.0/0') },
      fromNode(toService),
    ],
    ['egress: a set of the cluster, real', true, 'egress', { to: pods }, fromNode(toService)],
    ['egress: a set of the cluster, dialled', false, 'egress', { to: pods }, fromNode(at(pod, outside))],
    [
      'podEgress: the address dialled',
      true,
      'podEgress',
      { to: networks('203.0.113.9') },
      fromPod(toService),
    ],
    ['podEgress: the real port', true, 'podEgress', port(8443), fromPod(toService)],
    [
      'podEgress: one of each',
      false,
      'podEgress',
      { to: networks('203.0.113.9'), ...port(8443) },
      fromPod(toService),
    ],
    [
      'podEgress: the protocol all the same',
      false,
      'podEgress',
      { protocols: [17], ...port(443) },
      fromPod(toService),
    ],
  ])('%s: %s', (_, wanted, flow, match, connection) => {
    expect(matches(flow, match, connection, { podCIDRs: ['10.2.0.0/16'] })).toBe(wanted)
  })
})

const pods = { cidrs: [], sets: ['podCIDRs' as const] }

describe('the interface of a rule of egress', () => {
  const orMetadata = { interfaces: ['eth0'], orMetadata: true }
  const inside = { out: 'cni0' }
  const toMetadata = networks('169.254.169.254')
  test.each<[string, boolean, Flow, Parameters<typeof drop>[1], Connection]>([
    ['is the one it goes out on', true, 'egress', { interfaces: ['eth0'] }, fromNode()],
    ['is not another', false, 'egress', { interfaces: ['eth1'] }, fromNode()],
    ['of a pod too', true, 'podEgress', { interfaces: ['eth0'] }, fromPod()],
    ['is not the one it comes in on', false, 'podEgress', { interfaces: ['cni0'] }, fromPod()],
    [
      'is none for what ends here',
      false,
      'podEgress',
      { interfaces: ['eth0'] },
      { ...local(), ...at(metadata) },
    ],
    ['need not be named for what ends here', true, 'podEgress', {}, { ...local(), ...at(metadata) }],
    ['or metadata: by the interface', true, 'podEgress', orMetadata, fromPod()],
    ['or metadata: neither', false, 'podEgress', orMetadata, fromPod(inside)],
    [
      'or metadata: by another interface',
      true,
      'podEgress',
      orMetadata,
      fromPod({ ...inside, dialled: metadata }),
    ],
    ['or metadata: answered here', true, 'podEgress', orMetadata, { ...local(), ...at(metadata) }],
    ['or metadata: dialled', true, 'podEgress', orMetadata, { ...local(), ...at(metadata, node) }],
    [
      'or metadata: translated to it',
      true,
      'podEgress',
      orMetadata,
      fromPod({ ...inside, ...at(clusterIp, metadata) }),
    ],
    [
      'or metadata: with the port',
      false,
      'podEgress',
      { ...orMetadata, ...port(81) },
      fromPod({ ...inside, dialled: metadata }),
    ],
    [
      'or metadata: and to it',
      true,
      'podEgress',
      { ...orMetadata, to: toMetadata },
      { ...local(), ...at(metadata, node) },
    ],
    [
      'or metadata: but to the other address',
      false,
      'podEgress',
      { ...orMetadata, to: networks('192.0.2.1') },
      { ...local(), ...at(metadata, node) },
    ],
    [
      'or metadata: in a long list',
      true,
      'podEgress',
      { ...orMetadata, to: networks(...many, '169.254.169.254') },
      { ...local(), ...at(metadata, node) },
    ],
    [
      'or metadata: by no set',
      false,
      'podEgress',
      { ...orMetadata, to: pods },
      { ...local(), ...at(metadata) },
    ],
    [
      'or metadata: over IPv6',
      true,
      'podEgress',
      orMetadata,
      fromPod({
        ...inside,
        family: 'ipv6',
        from: 'fd00:2::5',
        dialled: { address: 'fd00:ec2::254', port: 80 },
      }),
    ],
  ])('%s: %s', (_, wanted, flow, match, connection) => {
    expect(matches(flow, match, connection)).toBe(wanted)
  })
})
