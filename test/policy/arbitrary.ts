import fc from 'fast-check'
import type { Connection } from '../../agent/policy/connection.ts'
import type { ClusterFacts } from '../../agent/policy/policy.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import type { AddressSource, PortRange, Rule, Ruleset } from '../../agent/ruleset/ruleset.ts'

/*
 * Rulesets and connections out of a few values each, so that rules often match, and often all that others do.
 */

export const now = Date.parse('2030-01-01T00:00:00Z')

const long = Array.from({ length: 13 }, (_, index) => `203.0.113.${index * 2}`)

/** Rulesets in order of evaluation, all of one node. Their rules are of one flow, and like each other. */
export function rulesets(): fc.Arbitrary<readonly Ruleset[]> {
  return rule.chain((base) => {
    const shape = fc.record({
      mode: fc.constantFrom('enforce', 'enforce', 'audit'),
      external: fc.constantFrom<Ruleset['external']>('auto', 'auto', ['eth0'], ['eth+'], ['any']),
      rules: fc.array(ruleLike(base), { maxLength: 4 }),
    })
    return fc
      .array(shape, { minLength: 1, maxLength: 2 })
      .map((shapes) => shapes.map((one, index) => rulesetWith(one.rules, { ...one, name: `r${index}` })))
  })
}

/** A rule with one or two of its fields as another has them. */
function ruleLike(base: Rule): fc.Arbitrary<Rule> {
  const field = fc.constantFrom('action', 'protocols', 'from', 'to', 'interfaces', 'audit', 'expiresAt')
  return fc
    .record({ other: rule, changed: fc.uniqueArray(field, { maxLength: 2 }) })
    .map(({ other, changed }) => {
      const fields = changed.flatMap((key) => (key === 'protocols' ? protocolFields : [key]))
      const taken = (from: Rule, isTaken: (key: string) => boolean) =>
        Object.fromEntries(Object.entries(from).filter(([key]) => isTaken(key)))
      const merged: Rule = {
        ...ruleOf({ flow: base.flow }),
        ...taken(base, (key) => !fields.includes(key)),
        ...taken(other, (key) => fields.includes(key)),
      }
      return { ...merged, audit: merged.audit && merged.action !== 'accept' }
    })
}

const protocolFields = ['protocols', 'ports', 'icmpTypes']

/** The value of a Ruleset document with these rules. */
export function rulesetWith(rules: readonly Rule[], more: Partial<Ruleset> = {}): Ruleset {
  const name = more.name ?? 'test'
  const position = { line: 1, column: 1 }
  const rulePositions = rules.map((_, index) => ({ line: 10 + index, column: 7 }))
  return {
    name,
    path: `${name}.yaml`,
    priority: 100,
    mode: 'enforce',
    established: 'cut',
    external: 'auto',
    defaults: {},
    logsDefaults: false,
    failsafe: {},
    sets: new Map([
      ['short', ['10.1.0.0/16', 'fd00:1::/32'].map(parseCidr)],
      ['long', long.map(parseCidr)],
      ['none', []],
    ]),
    probes: [],
    positions: { name: position, defaults: {}, failsafe: {}, rules: rulePositions },
    ...more,
    rules: rules.map((one, index) => ({ ...one, name: `${one.name} ${index}` })),
  }
}

export function ruleOf(more: Partial<Rule> = {}): Rule {
  const base = { name: 'rule', flow: 'ingress', action: 'drop', log: false, audit: false } as const
  return { ...base, protocols: ['any'], ports: [], ...more }
}

export function cluster(): fc.Arbitrary<ClusterFacts> {
  const members = fc.subarray([...addresses.ipv4, ...addresses.ipv6].map(parseCidr))
  return fc.record({ nodes: members, apiServers: members, podCIDRs: members })
}

const addresses: Record<Family, readonly string[]> = {
  ipv4: [
    '10.1.2.3',
    '10.9.9.9',
    '192.0.2.1',
    '198.51.100.7',
    '203.0.113.4',
    '203.0.113.5',
    '169.254.169.254',
  ],
  ipv6: ['fd00:1::1', 'fd00:2::1', '2001:db8::1', '2001:db8:9::9', 'fd00:ec2::254'],
}

export function connections(): fc.Arbitrary<Connection> {
  return fc.constantFrom<Family>('ipv4', 'ipv4', 'ipv6').chain((family) => {
    const address = fc.constantFrom(...addresses[family])
    const destination = fc.record({ address, port: fc.constantFrom(22, 80, 81, 443, 30_080) })
    const sides = fc.constantFrom<Pick<Connection, 'in' | 'out'>>(
      { in: 'eth0' },
      { in: 'eth0', out: 'cni0' },
      { in: 'eth1', out: 'eth0' },
      { in: 'cni0' },
      { in: 'cni0', out: 'eth0' },
      { in: 'cni0', out: 'cni1' },
      { out: 'eth0' },
      { out: 'cni0' },
    )
    return fc
      .record({
        protocol: fc.constantFrom(6, 6, 17, 1, 58, 47),
        from: address,
        dialled: destination,
        translatedTo: fc.option(destination, { nil: undefined }),
        sides,
        icmp: fc.record({ type: fc.constantFrom(3, 8, 128), code: fc.constantFrom(0, 4) }),
      })
      .map(({ translatedTo, sides: ends, icmp, dialled, ...rest }) => {
        const isIcmp = rest.protocol === 1 || rest.protocol === 58
        const base = { family, ...rest, ...ends, ...(isIcmp ? { icmp } : {}) }
        return { ...base, dialled, real: translatedTo ?? dialled }
      })
  })
}

const sources: fc.Arbitrary<AddressSource> = fc.oneof(
  fc
    .constantFrom('0.0.0.0/0', '10.0.0.0/8', '10.1.2.3', '203.0.113.4', '169.254.169.254', 'fd00::/8', '::/0')
    .map(parseCidr),
  fc
    .constantFrom(
      'any',
      'private',
      'metadata',
      'nodes',
      'apiServers',
      'self',
      'short',
      'long',
      'long',
      'none',
    )
    .map((set) => ({ set })),
)
const range: fc.Arbitrary<PortRange> = fc.constantFrom(
  { first: 22, last: 22 },
  { first: 80, last: 80 },
  { first: 81, last: 443 },
  { first: 80, last: 443 },
  { first: 1, last: 65_535 },
)
const icmpType = fc.constantFrom({ type: 3 }, { type: 3, code: 4 }, { type: 8 }, { type: 128, code: 0 })
const icmpTypes = fc.record({
  ipv4: fc.array(icmpType, { maxLength: 2 }),
  ipv6: fc.array(icmpType, { maxLength: 2 }),
})

/** What people write of protocols: with ports, with ICMP types, or with neither. */
const protocol = fc.oneof(
  fc.constant({ protocols: ['any' as const], ports: [] }),
  fc.record({ protocols: fc.subarray([1, 6, 17, 58], { minLength: 1 }), ports: fc.constant([]) }),
  fc.record({
    protocols: fc.subarray([6, 17], { minLength: 1 }),
    ports: fc.array(range, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ protocols: fc.constantFrom([1], [58], [1, 58]), ports: fc.constant([]), icmpTypes }),
)

const rule: fc.Arbitrary<Rule> = fc
  .record({
    flow: fc.constantFrom(...flows),
    action: fc.constantFrom('accept' as const, 'drop' as const, 'reject' as const),
    protocol,
    from: seldom(fc.array(sources, { minLength: 1, maxLength: 3 })),
    to: seldom(fc.array(sources, { minLength: 1, maxLength: 3 })),
    interfaces: seldom(fc.constantFrom(['eth0'], ['eth+'], ['cni+'], ['any'])),
    audit: fc.constantFrom(true, false, false, false),
    expiresAt: seldom(fc.constantFrom(now - 1, now + 1, now + 2)),
  })
  .map(({ protocol: ofProtocol, audit, action, flow, ...rest }) => {
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
    return ruleOf({ flow, action, ...given, ...ofProtocol, audit: audit && action !== 'accept' })
  })

function seldom<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof(fc.constant(undefined), value)
}
