import { messageOf } from '../errors.ts'
import { families, familyOfText } from './address.ts'
import type { Family } from './address.ts'
import type { Issue } from './explain-issue.ts'
import { parseIcmpType } from './icmp-types.ts'
import { nearest } from './problem.ts'
import { burstBounds, nearestRates, parseRate } from './rate.ts'
import { hasPorts, protocolNames } from './protocol.ts'
import type { Protocol } from './protocol.ts'
import { isSetName } from './fields.ts'
import type { RuleDocument } from './rule-schema.ts'

/** Families each set has addresses of; an empty set counts as both, since it may be filled later. */
export type KnownSets = ReadonlyMap<string, readonly Family[]>

/** Finds what no single field of a rule shows. Paths are relative to the rule. */
export function checkRule(rule: RuleDocument, sets: KnownSets): Issue[] {
  const undefinedSets = [...checkSetNames('from', rule.from, sets), ...checkSetNames('to', rule.to, sets)]
  const interfaces = checkInterfaces(rule)
  const issues = [
    ...checkPorts(rule),
    ...checkIcmpTypes(rule),
    ...checkLimits(rule),
    ...checkAudit(rule),
    ...interfaces,
    ...undefinedSets,
  ]
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

function checkIcmpTypes(rule: RuleDocument): Issue[] {
  const { icmpTypes } = rule
  if (icmpTypes === undefined) return []
  const protocols = protocolsOf(rule)
  if (protocols.some((protocol) => familyOfIcmp(protocol) === undefined)) {
    const message = 'found ICMP types, expected only the protocols icmp and icmpv6 with them'
    return [{ path: ['icmpTypes'], part: 'key', message }]
  }
  const ofRule = protocols.map(familyOfIcmp).filter((family) => family !== undefined)
  return icmpTypes.flatMap((type, index) =>
    ofRule.flatMap((family) => {
      try {
        parseIcmpType(type, family)
        return []
      } catch (error) {
        return [{ path: ['icmpTypes', index], message: messageOf(error) }]
      }
    }),
  )
}

/** The family whose ICMP a protocol is; nothing for other protocols. */
export function familyOfIcmp(protocol: Protocol): Family | undefined {
  if (protocol === protocolNames.icmp) return 'ipv4'
  return protocol === protocolNames.icmpv6 ? 'ipv6' : undefined
}

function checkLimits(rule: RuleDocument): Issue[] {
  return (['limit', 'connections'] as const).flatMap((key): Issue[] => {
    const limit = rule[key]
    if (limit === undefined) return []
    if (rule.action === 'reject') {
      const message = 'found a limit on reject, expected it on accept or drop: what exceeds it is dropped'
      return [{ path: [key], part: 'key', message }]
    }
    const ofRate = key === 'limit' ? checkRate(rule.limit) : []
    if (ofRate.length > 0) return ofRate
    const prefixed = limit.ipv4Prefix !== undefined || limit.ipv6Prefix !== undefined
    if (limit.per !== 'rule' || !prefixed) return []
    return [
      { path: [key], message: 'found a prefix length with "per: rule", expected it with "per: source"' },
    ]
  })
}

function checkRate(limit: RuleDocument['limit']): Issue[] {
  if (limit === undefined) return []
  const rate = parseRate(limit.rate)
  const { exact, below, above } = nearestRates(rate)
  if (!exact) {
    const message = `found "${limit.rate}", which the kernel cannot hold, expected "${below}" or "${above}"`
    return [{ path: ['limit', 'rate'], message }]
  }
  const { least, most } = burstBounds(rate)
  const { burst } = limit
  if (burst === undefined || (burst >= least && burst <= most)) return []
  const message = `found ${burst}, expected ${least} to ${most} with ${limit.rate}`
  return [{ path: ['limit', 'burst'], message }]
}

function checkAudit({ audit, action }: RuleDocument): Issue[] {
  if (audit !== true || action !== 'accept') return []
  const message = 'found audit on accept, expected it on drop or reject: it tells what would be denied'
  return [{ path: ['audit'], part: 'key', message }]
}

function checkInterfaces({ interfaces = [] }: RuleDocument): Issue[] {
  if (!interfaces.includes('any') || interfaces.length === 1) return []
  return [{ path: ['interfaces'], message: 'found "any" beside other interfaces, expected [any] alone' }]
}

/** Names of sets that nobody defines. */
export function checkSetNames(key: 'from' | 'to', members: readonly string[] = [], sets: KnownSets): Issue[] {
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
