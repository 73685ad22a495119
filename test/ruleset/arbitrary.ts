import fc from 'fast-check'
import { formatCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import ipaddr from 'ipaddr.js'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { extensionHeaders, protocolNames } from '../../agent/ruleset/protocol.ts'

/** Ruleset documents of every kind that the schema can express, as values to be written as YAML. */
export function rulesetDocuments(): fc.Arbitrary<unknown> {
  return fc
    .record({
      sets: fc.dictionary(setName, fc.array(cidr, { maxLength: 4 }), { maxKeys: 3 }),
      ingress: fc.option(action, { nil: undefined }),
      external: fc.oneof(fc.constant('auto'), interfaces),
      priority: fc.option(fc.integer({ min: 0, max: 1_000_000 }), { nil: undefined }),
    })
    .chain(({ sets, ingress, external, priority }) =>
      fc
        .uniqueArray(rule(Object.keys(sets)), { maxLength: 12, selector: ({ name }) => name })
        .map((rules) => ({
          apiVersion: 'node-firewall.io/v1',
          kind: 'Ruleset',
          metadata: { name: 'generated' },
          spec: { priority, interfaces: { external }, defaults: { ingress }, sets, rules },
        })),
    )
}

const action = fc.constantFrom('accept', 'drop', 'reject')
const setName = fc
  .stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/)
  .filter((name) => name !== 'any' && name !== 'private')
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

function rule(sets: readonly string[]) {
  const source =
    sets.length === 0 ? fc.oneof(cidr, builtIn) : fc.oneof(cidr, builtIn, fc.constantFrom(...sets))
  const sources = fc.option(fc.array(source, { minLength: 1, maxLength: 4 }), { nil: undefined })
  const common = {
    name: ruleName,
    action,
    from: sources,
    to: sources,
    interfaces: fc.option(fc.oneof(interfaces, fc.constant(['any'])), { nil: undefined }),
  }
  return fc.oneof(
    fc.record({ ...common, protocol: fc.option(oneOrMore(protocol), { nil: undefined }) }),
    fc.record({
      ...common,
      protocol: oneOrMore(portProtocol),
      ports: fc.array(port, { minLength: 1, maxLength: 40 }),
    }),
  )
}

const builtIn = fc.constantFrom('any', 'private')

function oneOrMore<T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | T[]> {
  return fc.oneof(item, fc.array(item, { minLength: 1, maxLength: 4 }))
}
