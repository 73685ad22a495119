import fc from 'fast-check'
import { probeDocuments } from './arbitrary-probes.ts'
import { formatCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import ipaddr from 'ipaddr.js'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { builtInSets, clusterSets, reservedSetNames, selfSet } from '../../agent/ruleset/built-in-sets.ts'
import { extensionHeaders, protocolNames } from '../../agent/ruleset/protocol.ts'

/** Ruleset documents of every kind that the schema can express, as values to be written as YAML. */
export function rulesetDocuments(): fc.Arbitrary<unknown> {
  return fc
    .record({
      sets: fc.dictionary(setName, fc.array(cidr, { maxLength: 30 }), { maxKeys: 3 }),
      defaults: fc.record(
        { ingress: action, egress: action, podIngress: action, podEgress: action, log: fc.boolean() },
        { requiredKeys: [] },
      ),
      external: fc.oneof(fc.constant('auto'), interfaces),
      priority: fc.option(fc.integer({ min: 0, max: 1_000_000 }), { nil: undefined }),
      mode: fc.constantFrom(undefined, 'enforce', 'audit'),
      established: fc.constantFrom(undefined, 'cut', 'keep'),
      probes: fc.option(probeDocuments(), { nil: undefined }),
      rollout: fc.option(rollout, { nil: undefined }),
      failsafe: fc.option(failsafe, { nil: undefined }),
    })
    .chain(({ sets, external, ...spec }) =>
      fc
        .uniqueArray(rule(Object.keys(sets)), { maxLength: 12, selector: ({ name }) => name })
        .map((rules) => ({
          apiVersion: 'node-firewall.io/v1',
          kind: 'Ruleset',
          metadata: { name: 'generated' },
          spec: { ...spec, interfaces: { external }, sets, rules },
        })),
    )
}

const rollout = fc.record(
  {
    canaries: fc.integer({ min: 1, max: 100 }),
    then: fc.oneof(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 100 }).map((share) => `${share}%`),
    ),
    pause: fc.constantFrom('0s', '30s', '5m', '24h'),
  },
  { requiredKeys: [] },
)

const action = fc.constantFrom('accept', 'drop', 'reject')
const setName = fc
  .stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/)
  .filter((name) => !reservedSetNames.has(name))
const ruleName = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/)
const interfaceName = fc
  .stringMatching(/^([A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{1,14}\+)$/)
  .filter((name) => name !== 'any')
const interfaces = fc.uniqueArray(interfaceName, { minLength: 1, maxLength: 3 })

const ipv4 = bytesOf(4)
const ipv6 = fc.oneof(
  bytesOf(16),
  // addresses with runs of zeros, which are written in many ways
  fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 }),
)

function bytesOf(length: number): fc.Arbitrary<number[]> {
  return fc.array(fc.integer({ min: 0, max: 255 }), { minLength: length, maxLength: length })
}

const cidr = fc
  .oneof(ipv4, ipv6)
  .chain((bytes) => fc.tuple(fc.constant(bytes), fc.integer({ min: 0, max: bytes.length * 8 })))
  .map(([bytes, prefix]) => `${ipaddr.fromByteArray(maskBytes(bytes, prefix)).toString()}/${prefix}`)
  .filter(isAccepted)

function maskBytes(bytes: readonly number[], prefix: number): number[] {
  return bytes.map(
    (byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, prefix - index * 8)))) & 0xff,
  )
}

function isAccepted(text: string): boolean {
  try {
    const parsed: Cidr = parseCidr(text)
    return formatCidr(parsed) !== ''
  } catch {
    return false
  }
}

const port = fc.oneof(
  fc.integer({ min: 1, max: 65_535 }),
  fc
    .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
    .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
)

const protocol = fc.oneof(
  fc.constantFrom('any', ...Object.keys(protocolNames)),
  fc.integer({ min: 1, max: 255 }).filter((number) => !extensionHeaders.has(number)),
)
const portProtocol = fc.constantFrom('tcp', 'udp', 'sctp', 6, 17, 132)

const scope = fc.oneof(
  fc.constant({ per: 'rule' }),
  fc.record(
    {
      per: fc.constant('source'),
      ipv4Prefix: fc.integer({ min: 1, max: 32 }),
      ipv6Prefix: fc.integer({ min: 1, max: 128 }),
    },
    { requiredKeys: [] },
  ),
)
const limit = fc
  .tuple(
    fc.record({
      rate: fc.constantFrom('1/day', '7/hour', '60/minute', '200/second', '10000/second'),
      burst: fc.integer({ min: 1, max: 10_000 }),
    }),
    scope,
  )
  .map(([rate, per]) => ({ ...rate, ...per }))
const connections = fc
  .tuple(fc.integer({ min: 1, max: 1_000_000 }), scope)
  .map(([max, per]) => ({ max, ...per }))

/** What only some actions may have. */
const verdict = fc.oneof(
  fc.record(
    { action: fc.constant('accept'), limit, connections, log: fc.boolean() },
    { requiredKeys: ['action'] },
  ),
  fc.record(
    { action: fc.constantFrom('drop', 'reject'), log: fc.boolean(), audit: fc.boolean() },
    { requiredKeys: ['action'] },
  ),
)

function rule(sets: readonly string[]) {
  const source =
    sets.length === 0 ? fc.oneof(cidr, builtIn) : fc.oneof(cidr, builtIn, fc.constantFrom(...sets))
  const sources = fc.option(fc.array(source, { minLength: 1, maxLength: 14 }), { nil: undefined })
  const common = fc.record({
    name: ruleName,
    direction: fc.constantFrom(undefined, 'ingress', 'egress'),
    endpoint: fc.constantFrom(undefined, 'node', 'pods'),
    from: sources,
    to: sources,
    interfaces: fc.option(fc.oneof(interfaces, fc.constant(['any'])), { nil: undefined }),
    expiresAt: fc.constantFrom(undefined, '2999-12-31T23:59:59Z'),
  })
  const what = fc.oneof(
    fc.record({ protocol: fc.option(oneOrMore(protocol), { nil: undefined }) }),
    fc.record({
      protocol: oneOrMore(portProtocol),
      ports: fc.array(port, { minLength: 1, maxLength: 40 }),
    }),
    fc.record({
      protocol: fc.constantFrom('icmp', 'icmpv6', ['icmp', 'icmpv6']),
      icmpTypes: fc.array(fc.oneof(fc.constant('echo-request'), fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  )
  return fc.tuple(common, verdict, what).map(([start, ...rest]) => ({ ...start, ...rest[0], ...rest[1] }))
}

const builtIn = fc.constantFrom(...Object.keys(builtInSets), ...clusterSets, selfSet)

const members = fc.array(fc.oneof(cidr, builtIn), { minLength: 1, maxLength: 14 })
const incoming = fc.oneof(fc.constant('off'), fc.record({ from: members }))
const outgoing = fc.oneof(fc.constant('off'), fc.record({ to: members }))
const both = fc.oneof(incoming, outgoing, fc.record({ from: members, to: members }))
const failsafe = fc.record(
  {
    dhcp: both,
    kubelet: incoming,
    apiServer: incoming,
    etcd: incoming,
    tunnels: both,
    dns: outgoing,
    apiServers: outgoing,
  },
  { requiredKeys: [] },
)

function oneOrMore<T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | T[]> {
  return fc.oneof(item, fc.array(item, { minLength: 1, maxLength: 4 }))
}
