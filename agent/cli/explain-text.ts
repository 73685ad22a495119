import type { Connection, Destination } from '../policy/connection.ts'
import type { MatchField } from '../policy/matches.ts'
import { formatProtocol } from '../policy/verdict-near.ts'
import type { NearMiss } from '../policy/verdict-near.ts'
import type { Decider, Decision, Verdict } from '../policy/verdict.ts'
import type { Flow, Ruleset } from '../ruleset/ruleset.ts'

/** What is known of a connection's fate. */
export type Explanation = {
  readonly connection: Connection
  readonly verdict: Verdict
  /** Rules that would have changed the verdict, had one field of them matched. */
  readonly nearMisses: readonly NearMiss[]
  readonly rulesets: readonly Ruleset[]
}

const mostNearMisses = 5

const fieldNames: Readonly<Record<MatchField, string>> = {
  interfaces: 'interface',
  protocols: 'protocol',
  ports: 'port',
  sourcePort: 'source port',
  icmpTypes: 'ICMP type',
  from: '"from"',
  to: '"to"',
  states: 'state',
}

/** Prints an explanation for people: the verdict, why, and what came close. */
export function formatExplanation({ connection, verdict, nearMisses, rulesets }: Explanation): string {
  const near = nearMisses.slice(0, mostNearMisses)
  const more = nearMisses.length - near.length
  const lines = [
    `${verdict.action}: ${formatConnection(connection)}`,
    ...verdict.before.flatMap((decision) => formatDecision('passed', decision, rulesets)),
    ...formatDecision('because', verdict, rulesets),
    ...near.map(
      ({ flow, rule, action, field, wanted }) =>
        `near: ${formatDecider(rule, flow, rulesets)} would ${action} it, but its ${fieldNames[field]} wants ${wanted}`,
    ),
    ...(more > 0 ? [`near: and ${more} more`] : []),
  ]
  return lines.join('\n')
}

/** Where a rule or a default is written, as `FILE:LINE`; nothing for failsafes. */
export function locate({ kind, ruleset, name }: Decider, flow: Flow, rulesets: readonly Ruleset[]): string[] {
  return rulesets
    .filter((candidate) => ruleset === undefined || candidate.name === ruleset)
    .flatMap(({ path, rules, positions }) => {
      const ofRule = positions.rules[rules.findIndex((rule) => rule.name === name)]
      const position = {
        rule: ofRule,
        default: positions.defaults[flow],
        failsafe: undefined,
        none: undefined,
      }[kind]
      return position === undefined ? [] : [`${path}:${position.line}`]
    })
}

function formatConnection({ protocol, from, dialled, real, in: input, out, icmp }: Connection): string {
  const isTranslated = dialled !== real
  const type = icmp === undefined ? '' : ` type ${icmp.type}/${icmp.code}`
  const way = [
    ...(input === undefined ? ['from a process of the node'] : [`in on ${input}`]),
    ...(out === undefined ? ['to a process of the node'] : [`out on ${out}`]),
  ]
  const translated = isTranslated ? `, translated to ${formatDestination(real)}` : ''
  return `${formatProtocol(protocol)}${type} from ${from} to ${formatDestination(dialled)}${translated}, ${way.join(', ')}`
}

function formatDestination({ address, port }: Destination): string {
  return port === undefined ? address : `${address} port ${port}`
}

function formatDecision(
  label: 'passed' | 'because',
  { flow, action, by, limited, audited }: Decision,
  rulesets: readonly Ruleset[],
): string[] {
  const why =
    by.kind === 'none'
      ? `${flow}: no rule matches, and no default denies it`
      : `${flow}: ${formatDecider(by, flow, rulesets)} says ${action}`
  return [
    `${label}: ${why}${limited ? ', within limits: what exceeds them is dropped' : ''}`,
    ...audited.map((would) => `audit: ${formatDecider(would.by, flow, rulesets)} would ${would.action} it`),
  ]
}

function formatDecider(by: Decider, flow: Flow, rulesets: readonly Ruleset[]): string {
  const fact = by.fact === undefined ? '' : ` (${by.fact})`
  const places = locate(by, flow, rulesets)
  const place = places.length === 0 ? '' : ` (${places.join(', ')})`
  const owner = by.ruleset === undefined ? '' : ` of ruleset ${by.ruleset}`
  return by.kind === 'rule'
    ? `rule "${by.name}"${owner}${place}`
    : `${by.kind} ${by.name}${fact}${owner}${place}`
}
