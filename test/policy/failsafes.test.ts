import { describe, expect, test } from 'vitest'
import type { Connection } from '../../agent/policy/connection.ts'
import { needsCluster } from '../../agent/policy/needs-cluster.ts'
import { unreadClusterFacts } from '../../agent/policy/policy.ts'
import type { ClusterFacts, NodeFacts, Policy, Tunnel } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'

const base = { external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: ['192.0.2.1'].map(parseCidr) }
const closed = { ingress: 'reject', egress: 'reject', podEgress: 'reject' }
const cluster = {
  nodes: ['192.0.2.1', '192.0.2.2'].map(parseCidr),
  apiServers: ['198.51.100.10'].map(parseCidr),
  podCIDRs: ['100.64.0.0/24'].map(parseCidr),
}

type Given = {
  readonly facts?: Partial<NodeFacts>
  readonly cluster?: ClusterFacts
  readonly spec?: object
}

function rulesetsOf(spec: object, name?: string) {
  const { rulesets, problems } = parseRulesets([
    { path: 'a.yaml', bytes: Buffer.from(rulesetOf(spec, name)) },
  ])
  expect(problems).toEqual([])
  return rulesets
}

function policyOf({ facts = {}, cluster: known = cluster, spec = {} }: Given): Policy {
  const rulesets = rulesetsOf({ defaults: closed, ...spec })
  return resolvePolicy(rulesets, { facts: { ...base, ...facts }, cluster: known, now: 0 })
}

function answer(given: Given, connection: Connection): string {
  const { action, by } = decideConnection(policyOf(given), connection)
  return action === 'accept' ? `${by.name}${by.fact === undefined ? '' : `: ${by.fact}`}` : action
}

function incoming(from: string, port: number | undefined, protocol: number): Connection {
  const dialled = { address: '192.0.2.1', ...(port === undefined ? {} : { port }) }
  return { family: 'ipv4', protocol, from, dialled, real: dialled, in: 'eth0' }
}

function outgoing(to: string, port: number | undefined, protocol: number): Connection {
  const dialled = { address: to, ...(port === undefined ? {} : { port }) }
  return { family: 'ipv4', protocol, from: '192.0.2.1', dialled, real: dialled, out: 'eth0' }
}

const unread = unreadClusterFacts
const standalone: ClusterFacts = {}
const controlPlane = { ports: { apiServer: 6443, etcd: 2379, etcdPeer: 2380 } }

describe('services of this node', () => {
  const own = 'listens on 10350'
  const moved = { ports: { kubelet: 10_350 } }
  test.each<[string, Given, string, number, string]>([
    ['the kubelet, from a node', { facts: moved }, '192.0.2.2', 10_350, `kubelet: ${own}`],
    ['the kubelet, from an API server', { facts: moved }, '198.51.100.10', 10_350, `kubelet: ${own}`],
    ['the kubelet, from a pod', { facts: moved }, '100.64.0.9', 10_350, `kubelet: ${own}`],
    ['the kubelet, from a private stranger', { facts: moved }, '10.0.0.9', 10_350, 'reject'],
    ['the kubelet, from the internet', { facts: moved }, '203.0.113.1', 10_350, 'reject'],
    ['the kubelet, where it does not listen', { facts: moved }, '192.0.2.2', 10_250, 'reject'],
    ['the kubelet, where none is seen', {}, '192.0.2.2', 10_250, 'kubelet: none seen, so 10250'],
    [
      'the kubelet, while nothing is known: private networks',
      { facts: moved, cluster: unread },
      '10.0.0.9',
      10_350,
      `kubelet: ${own}; nodes and apiServers not known`,
    ],
    ['the kubelet, while nothing is known: no others', { cluster: unread }, '203.0.113.1', 10_250, 'reject'],
    [
      'the kubelet, while only the API servers are known: private networks',
      { cluster: { ...unread, apiServers: cluster.apiServers } },
      '10.0.0.9',
      10_250,
      'kubelet: none seen, so 10250; nodes not known',
    ],
    [
      'the kubelet, while only the API servers are known: those',
      { cluster: { ...unread, apiServers: cluster.apiServers } },
      '198.51.100.10',
      10_250,
      'kubelet: none seen, so 10250; nodes not known',
    ],
    [
      'the kubelet, of a host in no cluster',
      { cluster: standalone },
      '10.0.0.9',
      10_250,
      'kubelet: none seen, so 10250; nodes and apiServers not known',
    ],
    [
      'the kubelet, while the kernel holds who was known before: no private networks',
      { facts: { remembered: { nodes: [], apiServers: [] } }, cluster: unread },
      '10.0.0.9',
      10_250,
      'reject',
    ],
    [
      'the kubelet, of a host in no cluster that was in one',
      { facts: { remembered: { nodes: [], apiServers: [] } }, cluster: standalone },
      '10.0.0.9',
      10_250,
      'kubelet: none seen, so 10250; nodes and apiServers not known',
    ],
    ['no API server on a worker', {}, '192.0.2.2', 6443, 'reject'],
    [
      'the API server, from a node',
      { facts: controlPlane },
      '192.0.2.2',
      6443,
      'api server: listens on 6443',
    ],
    [
      'the API server, from a node that joins',
      { facts: controlPlane },
      '10.0.0.9',
      6443,
      'api server: listens on 6443',
    ],
    ['the API server, from the internet', { facts: controlPlane }, '203.0.113.1', 6443, 'reject'],
    [
      'etcd, from an API server',
      { facts: controlPlane },
      '198.51.100.10',
      2380,
      'etcd: listens on 2379 and 2380',
    ],
    ['etcd, from a worker', { facts: controlPlane }, '192.0.2.2', 2379, 'reject'],
    ['etcd, from a private stranger', { facts: controlPlane }, '10.0.0.9', 2379, 'reject'],
    [
      'etcd without an API server, from its peers',
      { facts: { ports: { etcdPeer: 2380 } } },
      '192.0.2.2',
      2380,
      'etcd: listens on 2380',
    ],
    [
      'etcd, while nobody knows the API servers',
      { facts: controlPlane, cluster: unread },
      '10.0.0.9',
      2379,
      'etcd: listens on 2379 and 2380; apiServers not known',
    ],
  ])('%s', (_, given, from, port, expected) => {
    expect(answer(given, incoming(from, port, 6))).toBe(expected)
  })
})

function tunnel(kind: string, more: Partial<Tunnel> = {}): Given {
  return { facts: { tunnels: [{ kind, protocols: [17], locals: [], ...more }] } }
}

describe('tunnels', () => {
  const vxlan = tunnel('vxlan', { ports: [8472], device: 'flannel.1' })
  const local = (address: string) =>
    tunnel('vxlan', { ports: [8472], device: 'flannel.1', locals: [parseCidr(address)] })
  const again = ({ facts }: Given): Given => {
    const remembered = { nodes: ['192.0.2.1'].map(parseCidr), apiServers: [] }
    return { facts: { ...facts, remembered }, cluster: unread }
  }
  const wireguard = tunnel('wireguard', { ports: [51_820, 51_821] })
  const ipip = tunnel('ipip', { protocols: [4], device: 'tunl0' })
  const bgp = tunnel('bgp', { protocols: [6], ports: [179] })
  const isVxlan = 'tunnels: vxlan 8472 of flannel.1'

  test.each<[string, Given, Connection, string]>([
    ['VXLAN from a node', vxlan, incoming('192.0.2.2', 8472, 17), isVxlan],
    ['VXLAN from a private stranger', vxlan, incoming('10.0.0.9', 8472, 17), 'reject'],
    ['VXLAN from an API server that is no node', vxlan, incoming('198.51.100.10', 8472, 17), 'reject'],
    ['VXLAN to a node', vxlan, outgoing('192.0.2.2', 8472, 17), isVxlan],
    ['VXLAN to anybody else', vxlan, outgoing('10.0.0.9', 8472, 17), 'reject'],
    ['no tunnel here', {}, incoming('192.0.2.2', 8472, 17), 'reject'],
    [
      'VXLAN while the nodes are not known',
      { ...vxlan, cluster: unread },
      incoming('10.0.0.9', 8472, 17),
      `${isVxlan}; nodes not known`,
    ],
    [
      'VXLAN that speaks from the address of the node',
      local('192.0.2.1'),
      incoming('10.0.0.9', 8472, 17),
      'reject',
    ],
    [
      'VXLAN on a network of its own',
      local('10.0.0.1'),
      incoming('10.0.0.9', 8472, 17),
      `${isVxlan}; its own address is none of nodes`,
    ],
    [
      'VXLAN that speaks from the address that the kernel still holds of the node',
      again(local('192.0.2.1')),
      incoming('10.0.0.9', 8472, 17),
      'reject',
    ],
    [
      'VXLAN on a network of its own, after a restart',
      again(local('10.0.0.1')),
      incoming('10.0.0.9', 8472, 17),
      `${isVxlan}; its own address is none of nodes`,
    ],
    [
      'VXLAN on a network of its own, outwards',
      local('10.0.0.1'),
      outgoing('10.0.0.9', 8472, 17),
      `${isVxlan}; its own address is none of nodes`,
    ],
    [
      'WireGuard, from whom has a key',
      wireguard,
      incoming('10.0.0.9', 51_821, 17),
      'tunnels: wireguard 51820 and 51821',
    ],
    ['WireGuard from the internet', wireguard, incoming('203.0.113.1', 51_820, 17), 'reject'],
    [
      'WireGuard whose port nobody knows',
      tunnel('wireguard', { device: 'wg0' }),
      incoming('192.0.2.2', 51_820, 17),
      'reject',
    ],
    ['IP in IP from a node', ipip, incoming('192.0.2.2', undefined, 4), 'tunnels: ipip of tunl0'],
    ['IP in IP from others', ipip, incoming('10.0.0.9', undefined, 4), 'reject'],
    ['BGP from a node', bgp, incoming('192.0.2.2', 179, 6), 'tunnels: bgp 179'],
    ['BGP from others', bgp, incoming('10.0.0.9', 179, 6), 'reject'],
    ['BGP to a router', bgp, outgoing('203.0.113.1', 179, 6), 'tunnels: bgp 179'],
    [
      'a device with an odd name',
      tunnel('vxlan', { ports: [4789], device: 'a"b\\c' }),
      incoming('192.0.2.2', 4789, 17),
      'tunnels: vxlan 4789 of a?b?c',
    ],
  ])('%s', (_, given, connection, expected) => {
    expect(answer(given, connection)).toBe(expected)
  })

  test('one whose port nobody knows is told of', () => {
    const { warnings } = policyOf(tunnel('wireguard', { device: 'wg0' }))
    expect(warnings).toEqual(['no failsafe lets in wireguard of wg0: the port it listens on is not known'])
  })
})

describe('what the node opens', () => {
  const resolvers = { facts: { resolvers: ['203.0.113.53'].map(parseCidr) } }
  test.each<[string, Given, Connection, string]>([
    [
      'DNS to the name server of the host',
      resolvers,
      outgoing('203.0.113.53', 53, 17),
      'dns: name servers of this host',
    ],
    [
      'DNS of the cluster',
      resolvers,
      outgoing('100.64.0.10', 53, 17),
      'dns: private networks hold that of the cluster',
    ],
    ['DNS to anybody else', resolvers, outgoing('203.0.113.99', 53, 17), 'reject'],
    [
      'DNS, where nobody knows whom the host asks',
      {},
      outgoing('203.0.113.99', 53, 6),
      'dns: whom this host asks is not known',
    ],
    [
      'the API server',
      {},
      outgoing('198.51.100.10', 6443, 6),
      'api servers: endpoints of the Service kubernetes',
    ],
    ['anybody else by its port', {}, outgoing('203.0.113.1', 6443, 6), 'reject'],
    [
      'the API server, before anybody knows it',
      { cluster: unread },
      outgoing('203.0.113.1', 6443, 6),
      'api servers: not known yet',
    ],
    [
      'the API server, before it was read again',
      { facts: { remembered: { apiServers: [] } }, cluster: unread },
      outgoing('203.0.113.1', 6443, 6),
      'api servers: not known yet',
    ],
    ['another port, before anybody knows it', { cluster: unread }, outgoing('203.0.113.1', 80, 6), 'reject'],
    ['nobody, where there is no cluster', { cluster: standalone }, outgoing('203.0.113.1', 443, 6), 'reject'],
  ])('%s', (_, given, connection, expected) => {
    expect(answer(given, connection)).toBe(expected)
  })

  test('pods may ask any name server', () => {
    const connection = { ...outgoing('203.0.113.99', 53, 17), from: '100.64.0.9', in: 'cni0' }
    expect(answer(resolvers, connection)).toBe('dns: pods choose their name servers')
  })
})

describe('spec.failsafe', () => {
  const sets = { admins: ['203.0.113.0/24'] }
  const vxlan = tunnel('vxlan', { ports: [8472], device: 'flannel.1' })
  test.each<[string, Given, object, Connection, string]>([
    ['switched off', {}, { kubelet: 'off' }, incoming('192.0.2.2', 10_250, 6), 'reject'],
    [
      'narrowed to a set of the ruleset',
      {},
      { kubelet: { from: ['admins'] } },
      incoming('203.0.113.1', 10_250, 6),
      'kubelet: none seen, so 10250; narrowed by test',
    ],
    [
      'narrowed: others are out',
      {},
      { kubelet: { from: ['admins'] } },
      incoming('192.0.2.2', 10_250, 6),
      'reject',
    ],
    [
      'narrowed: nothing stands in for a set that is not known',
      { cluster: unread },
      { kubelet: { from: ['apiServers'] } },
      incoming('10.0.0.9', 10_250, 6),
      'reject',
    ],
    [
      'narrowed to a built-in set',
      { facts: controlPlane },
      { apiServer: { from: ['nodes'] } },
      incoming('10.0.0.9', 6443, 6),
      'reject',
    ],
    [
      'one side of a tunnel leaves the other',
      vxlan,
      { tunnels: { from: ['10.0.0.0/8'] } },
      outgoing('192.0.2.2', 8472, 17),
      'tunnels: vxlan 8472 of flannel.1',
    ],
    [
      'one side of a tunnel',
      vxlan,
      { tunnels: { from: ['10.0.0.0/8'] } },
      incoming('10.0.0.9', 8472, 17),
      'tunnels: vxlan 8472 of flannel.1; narrowed by test',
    ],
    [
      'DNS to one server',
      { facts: { resolvers: ['203.0.113.53'].map(parseCidr) } },
      { dns: { to: ['203.0.113.99'] } },
      outgoing('203.0.113.99', 53, 17),
      'dns: narrowed by test',
    ],
    [
      'DHCP from one server',
      {},
      { dhcp: { from: ['10.0.0.2'] } },
      { ...incoming('10.0.0.9', 68, 17), fromPort: 67 },
      'reject',
    ],
    [
      'API servers at one address',
      { cluster: unread },
      { apiServers: { to: ['198.51.100.10'] } },
      outgoing('203.0.113.1', 6443, 6),
      'reject',
    ],
  ])('%s', (_, given, failsafe, connection, expected) => {
    expect(answer({ ...given, spec: { failsafe, sets } }, connection)).toBe(expected)
  })

  test('DHCPv6 is not what is written for DHCP', () => {
    const { flows } = policyOf({ spec: { failsafe: { dhcp: { from: ['10.0.0.2', 'fe80::2'] } } } })
    const from = flows.ingress.flatMap((step) =>
      step.kind === 'failsafe' && step.name.startsWith('dhcp')
        ? [`${step.name} ${step.match.from?.cidrs.map(({ address }) => address).join()}`]
        : [],
    )
    expect(from).toEqual(['dhcp 10.0.0.2', 'dhcpv6 fe80::2'])
  })

  test('of a ruleset in audit mode changes nothing', () => {
    const spec = { mode: 'audit', failsafe: { kubelet: 'off' } }
    const { flows, warnings } = policyOf({ spec })
    expect(flows.ingress.some((step) => step.kind === 'failsafe' && step.name === 'kubelet')).toBe(true)
    expect(warnings.join()).not.toContain('switched off')
  })

  test('that is off is warned of', () => {
    expect(policyOf({ spec: { failsafe: { etcd: 'off' } } }).warnings).toEqual([
      'failsafe etcd is switched off by ruleset test: ' +
        'API servers and the other members can lose the etcd that runs here, unless a rule accepts it',
    ])
  })

  test('changes the hash', () => {
    const hashes = [{}, { failsafe: { dns: 'off' } }, { failsafe: { dns: { to: ['private'] } } }].map(
      (spec) => policyOf({ spec }).hash,
    )
    expect(new Set(hashes).size).toBe(3)
  })
})

describe('where the kubelet and the agent find the API server', () => {
  const servers = [
    { address: parseCidr('203.0.113.80'), port: 443, of: 'kubelet' },
    { address: parseCidr('203.0.113.81'), port: 6443, of: 'kubelet' },
    { address: parseCidr('10.96.0.1'), port: 443, of: 'agent' },
  ] as const
  const facts = { servers }
  test.each<[string, Given, Connection, string]>([
    [
      'a load balancer',
      { facts },
      outgoing('203.0.113.80', 443, 6),
      'api servers: API server of the kubelet',
    ],
    ['another port of it', { facts }, outgoing('203.0.113.80', 6443, 6), 'reject'],
    [
      'another address, at a port of its own',
      { facts },
      outgoing('203.0.113.81', 6443, 6),
      'api servers: API server of the kubelet',
    ],
    ['another protocol', { facts }, outgoing('203.0.113.80', 443, 17), 'reject'],
    ['one beside it', { facts }, outgoing('203.0.113.82', 443, 6), 'reject'],
    [
      'the Service, whoever answers there',
      { facts },
      {
        ...outgoing('198.51.100.77', 6443, 6),
        dialled: { address: '10.96.0.1', port: 443 },
      },
      'api servers: API server of the agent',
    ],
    [
      'a host in no cluster on which a kubelet runs',
      { facts, cluster: standalone },
      outgoing('203.0.113.80', 443, 6),
      'api servers: API server of the kubelet',
    ],
    [
      'narrowed with the others',
      { facts, spec: { failsafe: { apiServers: { to: ['198.51.100.10'] } } } },
      outgoing('203.0.113.80', 443, 6),
      'reject',
    ],
    [
      'off with the others',
      { facts, spec: { failsafe: { apiServers: 'off' } } },
      outgoing('203.0.113.80', 443, 6),
      'reject',
    ],
    ['nobody comes in by it', { facts }, incoming('203.0.113.80', 443, 6), 'reject'],
  ])('%s', (_, given, connection, expected) => {
    expect(answer(given, connection)).toBe(expected)
  })
})

test('a set that nobody can fill here is not made for a failsafe', () => {
  const setsOf = (known: ClusterFacts, spec: object = {}) =>
    Object.values(policyOf({ cluster: known, spec, facts: controlPlane }).flows).flatMap((steps) =>
      steps.flatMap((step) =>
        step.kind === 'audit' ? [] : [...(step.match.from?.sets ?? []), ...(step.match.to?.sets ?? [])],
      ),
    )
  expect(setsOf(standalone)).toEqual([])
  expect(setsOf(unread, { defaults: {} })).toEqual([])
  expect(new Set(setsOf(unread))).toEqual(new Set(['nodes', 'apiServers', 'podCIDRs']))
})

describe('failsafes that are to be wide, though the cluster is known', () => {
  const wide = (spec: object = {}) =>
    resolvePolicy(rulesetsOf({ defaults: closed, ...spec }), {
      facts: { ...base, tunnels: [{ kind: 'vxlan', protocols: [17], ports: [8472], locals: [] }] },
      cluster,
      now: 0,
      widens: true,
    })
  const says = (connection: Connection, spec?: object) => decideConnection(wide(spec), connection).action

  test.each<[string, Connection, string]>([
    ['the kubelet, from a node', incoming('192.0.2.2', 10_250, 6), 'accept'],
    ['the kubelet, from a private network', incoming('10.0.0.9', 10_250, 6), 'accept'],
    ['the kubelet, from the internet', incoming('203.0.113.1', 10_250, 6), 'reject'],
    ['a tunnel, from a private network', incoming('10.0.0.9', 8472, 17), 'accept'],
    ['what may be an API server', outgoing('203.0.113.1', 6443, 6), 'accept'],
    ['what is none', outgoing('203.0.113.1', 22, 6), 'reject'],
  ])('%s', (_, connection, expected) => {
    expect(says(connection)).toBe(expected)
  })

  test('are as narrow as a ruleset makes them', () => {
    const spec = { failsafe: { kubelet: { from: ['nodes'] }, apiServers: 'off' } }
    expect(says(incoming('10.0.0.9', 10_250, 6), spec)).toBe('reject')
    expect(says(outgoing('203.0.113.1', 6443, 6), spec)).toBe('reject')
  })

  test('tell by what they would be narrow', () => {
    expect(wide().failsafesBy).toEqual(['nodes', 'apiServers'])
    expect(policyOf({ cluster: { ...unread, apiServers: cluster.apiServers } }).failsafesBy).toEqual([
      'apiServers',
    ])
    expect(policyOf({ cluster: unread }).failsafesBy).toEqual([])
    const remembered = { nodes: [], apiServers: [] }
    expect(policyOf({ cluster: unread, facts: { remembered } }).failsafesBy).toEqual(['nodes', 'apiServers'])
  })
})

test('that nothing is known yet is worth a word', () => {
  expect(policyOf({ cluster: unread }).warnings).toEqual([
    'failsafes let private networks pass, since nodes and apiServers could not be read yet',
  ])
  expect(policyOf({ cluster: standalone }).warnings).toEqual([])
  const remembered = { nodes: [], apiServers: [] }
  expect(policyOf({ cluster: unread, facts: { remembered } }).warnings).toEqual([])
})

const noKubelet = expect.stringMatching(/^nothing listens on 10250, and processes of the host cannot be seen/)
const noResolvers = expect.stringMatching(
  /^the host's name servers cannot be seen, so failsafe dns lets port 53/,
)
test.each<[string, Given, unknown[]]>([
  ['a node that is closed both ways', {}, [noKubelet, noResolvers]],
  ['one whose kubelet is where it usually is', { facts: { ports: { kubelet: 10_250 } } }, [noResolvers]],
  ['one that opens what it wants', { spec: { defaults: { ingress: 'drop' } } }, [noKubelet]],
  ['a host in no cluster', { cluster: standalone }, [noResolvers]],
  [
    'failsafes that somebody has narrowed',
    { spec: { failsafe: { dns: { to: ['10.0.0.10'] }, kubelet: { from: ['nodes'] } } } },
    [],
  ],
  ['audit alone', { spec: { mode: 'audit' } }, []],
])('what cannot be seen with the network alone, of %s', (_, { facts = {}, ...given }, expected) => {
  expect(policyOf({ ...given, facts: { ...facts, onlyNetwork: true } }).warnings).toEqual(expected)
  expect(policyOf({ ...given, facts }).warnings).toEqual([])
})

const deny = (more: object = {}) => ({ rules: [{ name: 'a', action: 'drop', ...more }] })
test.each<[string, object, boolean]>([
  ['nothing', {}, false],
  ['defaults that accept', { defaults: { ingress: 'accept', egress: 'accept' } }, false],
  ['a closed node', { defaults: { ingress: 'drop' } }, true],
  ['a node that opens nothing', { defaults: { egress: 'reject' } }, true],
  ['closed pods', { defaults: { podIngress: 'drop', podEgress: 'drop' } }, false],
  ['a rule that accepts', { rules: [{ name: 'a', action: 'accept' }] }, false],
  ['a rule against everybody', deny(), true],
  ['a rule against everybody, written out', deny({ from: ['0.0.0.0/0', '::/0'] }), true],
  ['a rule that only tells', deny({ audit: true }), false],
  ['a rule against some', deny({ from: ['203.0.113.0/24'] }), false],
  ['a rule for some ports', deny({ protocol: 'tcp', ports: [22] }), false],
  ['a rule against what the node opens', deny({ direction: 'egress', to: ['203.0.113.0/24'] }), true],
  ['a rule that names a set', { rules: [{ name: 'a', action: 'accept', from: ['nodes'] }] }, true],
  ['a failsafe that names one', { failsafe: { kubelet: { from: ['nodes'] } } }, true],
])('whether the cluster is read for %s: %s', (_, spec, expected) => {
  expect(needsCluster(rulesetsOf(spec))).toBe(expected)
})
