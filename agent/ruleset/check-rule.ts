import { families, familyOfText } from './address.ts'
import type { Family } from './address.ts'
import type { Issue } from './explain-issue.ts'
import { nearest } from './problem.ts'
import { hasPorts, protocolNames } from './protocol.ts'
import type { Protocol } from './protocol.ts'
import { isSetName } from './schema.ts'
import type { RuleDocument } from './schema.ts'

/** Families each set has addresses of; an empty set counts as both, since it may be filled later. */
export type KnownSets = ReadonlyMap<string, readonly Family[]>

/** Finds what no single field of a rule shows. Paths are relative to the rule. */
export function checkRule(rule: RuleDocument, sets: KnownSets): Issue[] {
  const undefinedSets = [...checkSetNames('from', rule.from, sets), ...checkSetNames('to', rule.to, sets)]
  const interfaces = checkInterfaces(rule)
  const issues = [...checkPorts(rule), ...interfaces, ...undefinedSets]
  return undefinedSets.length > 0 ? issues : [...issues, ...checkFamilies(rule, sets)]
}

/** The protocols of a rule as numbers; a rule that names none means any. */
export function protocolsOf(rule: RuleDocument): Protocol[] {
  const { protocol = 'any' } = rule
  const written = Array.isArray(protocol) ? protocol : [protocol]
  const numbers = written.map((one) => (one === 'any' || typeof one === 'number' ? one : numberOf(one)))
  return numbers.includes('any') ? ['any'] : [...new Set(numbers)]
}

function numberOf(name: string): number {
  const entry = Object.entries(protocolNames).find(([known]) => known === name)
  if (entry === undefined) throw new Error(`reading a protocol: the schema let the unknown name ${name} pass`)
  return entry[1]
}

function checkPorts(rule: RuleDocument): Issue[] {
  const without = protocolsOf(rule).find((protocol) => !hasPorts(protocol))
  if (rule.ports === undefined || without === undefined) return []
  const found = rule.protocol === undefined ? 'no protocol' : `protocol ${without}`
  const message = `found ports with ${found}, expected only protocols that have ports: tcp, udp, sctp`
  return [{ path: ['ports'], part: 'key', message }]
}

function checkInterfaces({ interfaces = [] }: RuleDocument): Issue[] {
  if (!interfaces.includes('any') || interfaces.length === 1) return []
  return [{ path: ['interfaces'], message: 'found "any" beside other interfaces, expected [any] alone' }]
}

function checkSetNames(key: 'from' | 'to', members: readonly string[] = [], sets: KnownSets): Issue[] {
  return members.flatMap((member, index) => {
    if (!isSetName(member) || sets.has(member)) return []
    const names = [...sets.keys()]
    const guess = nearest(member, names)
    const hint = guess === undefined ? `an address or one of the sets ${names.join(', ')}` : `"${guess}"`
    return [
      { path: [key, index], message: `found the set "${member}", which nobody defines, expected ${hint}` },
    ]
  })
}

function checkFamilies(rule: RuleDocument, sets: KnownSets): Issue[] {
  const ofProtocols = families.filter((family) =>
    protocolsOf(rule).some(
      (protocol) => protocol !== (family === 'ipv4' ? protocolNames.icmpv6 : protocolNames.icmp),
    ),
  )
  const parts: [string, readonly Family[]][] = [
    ['protocol', ofProtocols],
    ['from', familiesOf(rule.from, sets)],
    ['to', familiesOf(rule.to, sets)],
  ]
  if (families.some((family) => parts.every(([, ofPart]) => ofPart.includes(family)))) return []
  const shown = parts
    .filter(([, ofPart]) => ofPart.length === 1)
    .map(([name, ofPart]) => `${name} is ${ofPart[0]}`)
  return [
    { path: [], message: `found a rule that can never match (${shown.join(', ')}), expected one family` },
  ]
}

function familiesOf(members: readonly string[] | undefined, sets: KnownSets): readonly Family[] {
  if (members === undefined) return families
  const found = members.flatMap((member) => sets.get(member) ?? familyOfText(member))
  return families.filter((family) => found.includes(family))
}
