import fc from 'fast-check'
import { families } from '../../agent/ruleset/address.ts'
import { clusterAddress, podNetwork, serviceAddress } from '../sandbox/cluster-addresses.ts'

/** Rulesets that have something to do with what is in the sandbox: few names, so that they meet often. */
export function rulesetLists(): fc.Arbitrary<readonly object[]> {
  return fc
    .tuple(defaults, failsafe, fc.array(ruleset, { minLength: 1, maxLength: 3 }))
    .map(([shared, lifelines, rulesets]) =>
      rulesets.map((spec, index) => toDocument(spec, { defaults: shared, failsafe: lifelines }, index)),
    )
}

type Spec = { readonly setsDefaults: boolean } & Record<string, unknown>

/** Rulesets of one node may not disagree on a default, or on a failsafe. */
function toDocument({ setsDefaults, ...spec }: Spec, shared: object, index: number): object {
  return {
    apiVersion: 'node-firewall.io/v1',
    kind: 'Ruleset',
    metadata: { name: `generated-${index}` },
    spec: { ...spec, ...(setsDefaults ? shared : {}) },
  }
}

const deny = fc.constantFrom('drop', 'reject')
const action = fc.constantFrom('accept', 'drop', 'reject')
const defaults = fc.record(
  { ingress: action, egress: action, podIngress: action, podEgress: action },
  { requiredKeys: [] },
)

const hosts = [...Object.values(clusterAddress), ...Object.values(serviceAddress)].flatMap((address) =>
  families.map((family) => address[family]),
)
const networks = [
  ...Object.values(podNetwork).flatMap((network) => families.map((family) => network[family])),
  '0.0.0.0/0',
  '::/0',
  '0.0.0.0/1',
  '128.0.0.0/1',
  '203.0.113.0/24',
  '2001:db8:113::/48',
  '192.168.0.0/16',
  '2001:db8::/32',
  '169.254.0.0/16',
]
const address = fc.constantFrom(...hosts, ...networks)
const name = fc.constantFrom('private', 'any', 'metadata', 'nodes', 'apiServers', 'podCIDRs', 'self', 'own')

/** Lists that are long enough for a kernel set, too. */
const strangers = Array.from({ length: 14 }, (_, index) => [
  `192.0.2.${index * 4}`,
  `2001:db8:f::${index * 4 + 1}`,
])
const addresses = fc
  .tuple(fc.array(fc.oneof(address, name), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([some, isLong]) => (isLong ? [...some, ...strangers.flat()] : some))

const shared = fc.array(
  fc.oneof(address, fc.constantFrom('private', 'any', 'nodes', 'apiServers', 'podCIDRs')),
  { minLength: 1, maxLength: 4 },
)
const incoming = fc.oneof(fc.constant('off'), fc.record({ from: shared }))
const outgoing = fc.oneof(fc.constant('off'), fc.record({ to: shared }))
const failsafe = fc.record(
  {
    kubelet: incoming,
    apiServer: incoming,
    tunnels: fc.oneof(incoming, outgoing),
    dns: outgoing,
    apiServers: outgoing,
  },
  { requiredKeys: [] },
)

const ports = fc.array(
  fc.constantFrom(
    22,
    53,
    80,
    443,
    988,
    5353,
    8080,
    8443,
    9090,
    10_250,
    30_080,
    '30000-32767',
    '1-1024',
    '30081-30082',
  ),
  { minLength: 1, maxLength: 4 },
)
const interfaces = fc.constantFrom(['any'], ['eth0'], ['eth1'], ['cni0'], ['eth+'], ['eth1', 'cni0'])

const what = fc.oneof(
  fc.constant({}),
  fc.record({ protocol: fc.constantFrom('tcp', 'udp', 'any', ['tcp', 'udp'], 'icmp', ['udp', 'icmpv6']) }),
  fc.record({ protocol: fc.constantFrom('tcp', 'udp', ['tcp', 'udp']), ports }),
)
/** Limits that what is sent here stays within. */
const wide = { limit: { rate: '1000/second', burst: 10_000 }, connections: { max: 100_000 } }
const verdict = fc.oneof(
  fc.record({ action, log: fc.constantFrom(undefined, true) }),
  fc.record({ action: deny, audit: fc.constant(true) }),
  fc.record({ action: fc.constantFrom('accept', 'drop') }).map((rule) => ({ ...rule, ...wide })),
)

const rule = fc
  .tuple(
    fc.record(
      {
        direction: fc.constantFrom('ingress', 'egress'),
        endpoint: fc.constantFrom('node', 'pods'),
        from: addresses,
        to: addresses,
        interfaces,
      },
      { requiredKeys: [] },
    ),
    what,
    verdict,
  )
  .map(([where, protocol, decision]) => ({ ...where, ...protocol, ...decision }))

const ruleset = fc
  .record({
    setsDefaults: fc.boolean(),
    mode: fc.constantFrom(undefined, undefined, undefined, 'audit'),
    priority: fc.constantFrom(undefined, 1, 200),
    interfaces: fc.constantFrom(
      undefined,
      undefined,
      { external: ['eth0'] },
      { external: ['eth0', 'eth1'] },
      { external: ['eth+'] },
      { external: ['eth1'] },
      { external: ['any'] },
    ),
    sets: fc.record({ own: fc.array(address, { maxLength: 16 }) }),
    rules: fc.array(rule, { maxLength: 8 }),
  })
  .map(({ rules, ...spec }) => ({
    ...spec,
    rules: rules.map((one, index) => ({ name: `rule ${index}`, ...one })),
  }))
