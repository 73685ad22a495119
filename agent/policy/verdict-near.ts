import { formatCidr } from '../ruleset/address.ts'
import { protocolNames } from '../ruleset/protocol.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { Flow, IcmpTypes, PortRange } from '../ruleset/ruleset.ts'
import type { Action } from '../ruleset/fields.ts'
import { viewsOf } from './connection.ts'
import type { Connection, View } from './connection.ts'
import { findMismatches } from './matches.ts'
import type { MatchField } from './matches.ts'
import type { Addresses, Match, Policy, PolicyRule } from './policy.ts'
import { decideConnection, decides, ruleMatches, toDecider } from './verdict.ts'
import type { Decider } from './verdict.ts'

/** A rule that would have decided, had one field of it matched. */
export type NearMiss = {
  readonly flow: Flow
  readonly rule: Decider
  readonly action: Action
  readonly field: MatchField
  /** What the field asks for, to be read by people. */
  readonly wanted: string
}

const mostShown = 3

/** Finds the rules before the deciding one that a connection fails to match by exactly one field. */
export function findNearMisses(policy: Policy, connection: Connection): readonly NearMiss[] {
  const { before } = decideConnection(policy, connection)
  return viewsOf(policy, connection)
    .slice(0, before.length + 1)
    .flatMap((view) => nearMissesOf(policy, connection, view))
}

function nearMissesOf(policy: Policy, connection: Connection, view: View): NearMiss[] {
  const rules = policy.flows[view.flow].filter(
    (step): step is PolicyRule => step.kind !== 'audit' && decides(step) && step.match.states === undefined,
  )
  const deciding = rules.findIndex((rule) => ruleMatches(policy, connection, view, rule))
  return rules.slice(0, deciding === -1 ? rules.length : deciding).flatMap((rule) => {
    if (rule.kind === 'failsafe' && !view.failsafes) return []
    const [field, ...others] = findMismatches(rule.match, connection, view, policy.clusterSets)
    if (field === undefined || others.length > 0) return []
    const wanted = describeField(rule.match, field, connection)
    return [{ flow: view.flow, rule: toDecider(rule), action: rule.action, field, wanted }]
  })
}

function describeField(match: Match, field: MatchField, { family }: Connection): string {
  switch (field) {
    case 'interfaces':
      return match.interfaces?.join(', ') ?? ''
    case 'protocols':
      return match.protocols?.map(formatProtocol).join(', ') ?? ''
    case 'ports':
      return match.ports?.map(formatPorts).join(', ') ?? ''
    case 'sourcePort':
      return `${match.sourcePort}`
    case 'icmpTypes':
      return formatTypes(match.icmpTypes?.[family] ?? [])
    case 'from':
    case 'to':
      return formatAddresses(match[field])
    case 'states':
      return match.states?.join(', ') ?? ''
  }
}

/** The name of a protocol in the rule language, or its number. */
export function formatProtocol(protocol: Protocol): string {
  return Object.entries(protocolNames).find(([, number]) => number === protocol)?.[0] ?? `${protocol}`
}

export function formatPorts({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`
}

function formatTypes(types: IcmpTypes['ipv4']): string {
  return types.length === 0 ? 'none of this family' : types.map(formatType).join(', ')
}

function formatType({ type, code }: IcmpTypes['ipv4'][number]): string {
  return code === undefined ? `${type}` : `${type}/${code}`
}

function formatAddresses({ cidrs, sets }: Addresses = { cidrs: [], sets: [] }): string {
  const all = [...sets, ...cidrs.map(formatCidr)]
  if (all.length === 0) return 'nobody'
  const more = all.length - mostShown
  return all.slice(0, mostShown).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
