import { protocolNames } from '../ruleset/protocol.ts'
import type { MergedRule } from './merge-families.ts'

export type Named = { readonly name: string; readonly description?: string }

const longest = 63

/**
 * A name for each rule: its own comment; or what stands above it, unless that stands above others too; or what it
 * does. A name given twice gets a number.
 */
export function nameRules(rules: readonly MergedRule[]): Named[] {
  const taken = new Set<string>()
  const counts = new Map<string, number>()
  for (const { comment, remark } of rules) {
    const own = comment ?? remark
    if (own !== undefined) counts.set(own, (counts.get(own) ?? 0) + 1)
  }
  return rules.map((rule) => {
    const own = rule.comment ?? rule.remark
    const cleaned = own === undefined ? '' : clean(own)
    const speaks = own !== undefined && counts.get(own) === 1 && cleaned !== ''
    const name = unique(speaks ? cleaned : clean(describeRule(rule)), taken)
    taken.add(name)
    return own === undefined || own === name ? { name } : { name, description: own }
  })
}

/** What a rule does, in a few words: `accept tcp 22 from 203.0.113.0/24`. */
export function describeRule(rule: MergedRule): string {
  const ports = rule.ports?.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  const parts = [
    rule.action,
    rule.protocols.map(protocolName).join(' ') || (ports === undefined ? 'all' : ''),
    list(ports ?? rule.icmpTypes, 'ports', ''),
    list(rule.from, 'networks', 'from '),
    list(rule.to, 'networks', 'to '),
    list(rule.interfaces, 'interfaces', 'on '),
  ]
  return parts.filter((part) => part !== '').join(' ')
}

/** A protocol as the ruleset language writes it. */
export function protocolName(number: number): string | number {
  return Object.entries(protocolNames).find(([, known]) => known === number)?.[0] ?? number
}

function list(members: readonly string[] | undefined, what: string, prefix: string): string {
  if (members === undefined) return ''
  const shown = members.map(shortName)
  return `${prefix}${shown.length > 3 ? `${shown.length} ${what}` : shown.join(' ')}`
}

function shortName(member: string): string {
  if (member === '0.0.0.0/0') return 'IPv4'
  return member === '::/0' ? 'IPv6' : member
}

/** In the alphabet of rule names, at most as long as one, cut at a word where there is one to cut at. */
function clean(text: string): string {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[:/]+/g, '-')
    .replace(/[^A-Za-z0-9 ._-]+/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/^[^A-Za-z0-9]+/, '')
  const cut = plain.length > longest ? (/^.{0,62}(?= )/.exec(plain)?.[0] ?? plain.slice(0, longest)) : plain
  return cut.replace(/[^A-Za-z0-9]+$/, '')
}

function unique(name: string, taken: ReadonlySet<string>): string {
  if (name !== '' && !taken.has(name)) return name
  for (let number = 2; ; number += 1) {
    const suffix = ` ${number}`
    const numbered = `${(name || 'rule').slice(0, longest - suffix.length)}${suffix}`
    if (!taken.has(numbered)) return numbered
  }
}
