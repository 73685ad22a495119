import fc from 'fast-check'
import { expect, test } from 'vitest'
import { importFirewall } from '../../agent/import/import-firewall.ts'
import { writeYaml } from '../../agent/import/write-yaml.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { contains, judge } from './evaluate.ts'
import type { Packet, Verdict } from './evaluate.ts'

/** A rule of iptables, and chains of them, as values: simple enough to be evaluated by looking at them. */
type Rule = {
  readonly source?: Negatable
  readonly destination?: Negatable
  readonly protocol?: 'tcp' | 'udp'
  readonly ports?: { readonly ranges: readonly (readonly [number, number])[]; readonly negated: boolean }
  readonly input?: 'eth0' | 'eth1'
  readonly target: string
  readonly goto: boolean
}
type Negatable = { readonly text: string; readonly negated: boolean }
type Table = {
  readonly policy: 'ACCEPT' | 'DROP'
  readonly chains: Readonly<Record<string, readonly Rule[]>>
}

const networks: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3/32', '192.0.2.0/24', '198.51.100.2/32'],
  ipv6: ['2001:db8::/32', '2001:db8:1::/48', '2001:db8:1::2/128', 'fd00::/8'],
}
const addresses: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['10.1.2.3', '10.1.2.4', '10.2.0.1', '192.0.2.9', '198.51.100.2', '203.0.113.7'],
  ipv6: ['2001:db8:1::2', '2001:db8:1::3', '2001:db8:2::1', 'fd00::1', '2001:db9::1'],
}
const portsOfInterest = [1, 21, 22, 23, 79, 80, 81, 1000, 1001, 65_535]

test('an imported dump gives the verdicts of the original', () => {
  fc.assert(
    fc.property(tables(), fc.array(packets(), { minLength: 20, maxLength: 40 }), (tablesOf, probes) => {
      const text = families.map((family) => save(tablesOf[family], family)).join('\n')
      const { document, notes } = importFirewall(text, { external: ['eth0'] })
      expect(notes.filter(({ kind }) => kind === 'lost')).toEqual([])
      const yaml = writeYaml(document, notes, 'dump')
      expect(
        parseRulesets([{ path: 'dump.yaml', bytes: Buffer.from(yaml) }]).problems.filter(
          ({ severity }) => severity === 'error',
        ),
      ).toEqual([])
      for (const packet of probes) {
        const family = packet.source.includes(':') ? 'ipv6' : 'ipv4'
        const original = evaluate(tablesOf[family], packet)
        expect({ packet, verdict: judge(document, packet) }, `${text}\n${yaml}`).toEqual({
          packet,
          verdict: original,
        })
      }
    }),
    { numRuns: 300 },
  )
})

test('what both families say is said once, and what one says stays with it', () => {
  fc.assert(
    fc.property(tableOf('ipv4', false), (table) => {
      const both = families.map((family) => save(table, family)).join('\n')
      const one = importFirewall(both, { external: ['eth0'] }).document.spec.rules ?? []
      expect(one.filter((rule) => (rule.from ?? []).some((cidr) => cidr.endsWith('/0')))).toEqual([])
      const alone = importFirewall(save(table, 'ipv6'), { external: ['eth0'] }).document
      for (const port of portsOfInterest) {
        const four = { input: 'eth0', source: '10.1.2.3', destination: '198.51.100.2', protocol: 6, port }
        expect(judge(alone, four)).toBe('accept')
      }
    }),
    { numRuns: 100 },
  )
})

function tables(): fc.Arbitrary<Record<Family, Table>> {
  return fc
    .boolean()
    .chain((alike) =>
      alike
        ? tableOf('ipv4', false).map((table) => ({ ipv4: table, ipv6: table }))
        : fc.record({ ipv4: tableOf('ipv4', true), ipv6: tableOf('ipv6', true) }),
    )
}

/** INPUT may jump to a and b, a to b, so that nothing turns in circles. */
function tableOf(family: Family, addressed: boolean): fc.Arbitrary<Table> {
  const rules = (targets: readonly string[]) => fc.array(rule(family, addressed, targets), { maxLength: 5 })
  return fc.record({
    policy: fc.constantFrom('ACCEPT', 'DROP'),
    chains: fc.record({
      INPUT: rules(['a', 'a', 'b', 'RETURN']),
      a: rules(['b', 'RETURN', 'RETURN']),
      b: rules(['RETURN']),
    }),
  })
}

function rule(family: Family, addressed: boolean, targets: readonly string[]): fc.Arbitrary<Rule> {
  const network = fc.record({ text: fc.constantFrom(...networks[family]), negated: fc.boolean() })
  const port = fc.constantFrom(...portsOfInterest)
  const range = fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  const optional = <T>(value: fc.Arbitrary<T>, often: boolean) =>
    often ? fc.option(value, { nil: undefined }) : fc.constant(undefined)
  return (
    fc
      .record({
        source: optional(network, addressed),
        destination: optional(network, addressed),
        protocol: optional(fc.constantFrom('tcp', 'udp'), true),
        ports: optional(
          fc.record({ ranges: fc.array(range, { minLength: 1, maxLength: 3 }), negated: fc.boolean() }),
          true,
        ),
        input: optional(fc.constantFrom('eth0', 'eth1'), true),
        target: fc.constantFrom('ACCEPT', 'DROP', 'REJECT', ...targets),
        goto: fc.boolean(),
      })
      .map(
        ({ ports, protocol, ...rest }) =>
          JSON.parse(JSON.stringify({ ...rest, protocol, ports: protocol && ports })) as Rule,
      )
      // The negation of all ports, which no packet meets, is not carried over.
      .filter(({ ports }) => ports?.negated !== true || ports.ranges.every(([, last]) => last < 65_535))
  )
}

function packets(): fc.Arbitrary<Packet> {
  return fc.constantFrom(...families).chain((family) =>
    fc.record({
      input: fc.constant('eth0'),
      source: fc.constantFrom(...addresses[family]),
      destination: fc.constantFrom(...addresses[family]),
      protocol: fc.constantFrom(6, 17, 132),
      port: fc.constantFrom(...portsOfInterest),
    }),
  )
}

function save({ policy, chains }: Table, family: Family): string {
  const program = family === 'ipv4' ? 'iptables' : 'ip6tables'
  const lines = Object.entries(chains).flatMap(([name, rules]) =>
    rules.map((one) => `-A ${name} ${show(one)}`),
  )
  return [
    `# Generated by ${program}-save`,
    '*filter',
    `:INPUT ${policy} [0:0]`,
    ':a - [0:0]',
    ':b - [0:0]',
    ...lines,
    'COMMIT',
    '',
  ].join('\n')
}

function show({ source, destination, protocol, ports, input, target, goto }: Rule): string {
  const not = (value: { readonly negated: boolean }) => (value.negated ? '! ' : '')
  const list = ports?.ranges.map(([a, b]) => (a === b ? `${a}` : `${a}:${b}`)).join()
  return [
    source && `${not(source)}-s ${source.text}`,
    destination && `${not(destination)}-d ${destination.text}`,
    input && `-i ${input}`,
    protocol && `-p ${protocol}`,
    ports && `-m multiport ${not(ports)}--dports ${list}`,
    `${goto && /^[ab]$/.test(target) ? '-g' : '-j'} ${target}`,
  ]
    .filter(Boolean)
    .join(' ')
}

/** What netfilter does, by the book (iptables(8)). */
function evaluate({ policy, chains }: Table, packet: Packet): Verdict {
  const walk = (name: string): Verdict | 'return' => {
    for (const one of chains[name] ?? []) {
      if (!meets(one, packet)) continue
      if (one.target === 'RETURN') return 'return'
      const inner = chains[one.target] === undefined ? undefined : walk(one.target)
      if (inner === undefined) return one.target.toLowerCase() as Verdict
      if (inner !== 'return' || one.goto) return inner
    }
    return 'return'
  }
  const verdict = walk('INPUT')
  return verdict === 'return' ? (policy === 'ACCEPT' ? 'accept' : 'drop') : verdict
}

function meets({ source, destination, protocol, ports, input }: Rule, packet: Packet): boolean {
  const inside = (one: Negatable | undefined, address: string) =>
    one === undefined || contains(one.text, address) !== one.negated
  const dialled = ports?.ranges.some(([a, b]) => a <= packet.port && packet.port <= b)
  return (
    (input === undefined || input === packet.input) &&
    (protocol === undefined || packet.protocol === (protocol === 'tcp' ? 6 : 17)) &&
    (ports === undefined || dialled !== ports.negated) &&
    inside(source, packet.source) &&
    inside(destination, packet.destination)
  )
}
