import type { Difference } from '../netfilter/compare.ts'
import type { State, Status } from '../status/status.ts'
import { counter, gauge, one } from '../telemetry/metric.ts'
import type { Metric, Sample } from '../telemetry/metric.ts'
import type { Tally } from './tally.ts'

/** What the agent has counted since its start. */
export type Tallies = {
  readonly passes: Tally<'written' | 'unchanged' | 'failed'>
  readonly rollbacks: Tally<'all'>
  readonly commandFailures: Tally<string>
  readonly nodeWrites: Tally<WriteResult>
  readonly eventWrites: Tally<WriteResult>
  readonly unreadCounters: Tally<'ipv4' | 'ipv6'>
}

export type WriteResult = 'success' | 'error'

export type AgentFacts = {
  readonly version: string
  readonly tallies: Tallies
  /** Of the last pass; absent before the first one has ended. */
  readonly status?: Status | undefined
  /** How many elements each kernel set of ours was seen to hold. */
  readonly setSizes: ReadonlyMap<string, number>
}

/** Sets beyond these are not shown by themselves. */
const mostSets = 100

/** What a finding is shown with: it may cite a rule of somebody's. */
const longestFinding = 200

/** What the agent says of itself and of what it read in its last pass. */
export function metricsOfAgent({ version, tallies, status, setSizes }: AgentFacts): Metric[] {
  const { passes, rollbacks, commandFailures, nodeWrites, eventWrites } = tallies
  const writes = [
    ...labelled(nodeWrites, 'result', { object: 'node' }),
    ...labelled(eventWrites, 'result', { object: 'event' }),
  ]
  return [
    gauge('node_firewall_build_info', 'Version of the agent; always 1.', [{ labels: { version }, value: 1 }]),
    gauge(
      'node_firewall_state',
      'The state of the node: 1 for the one it is in, 0 for the others; all are 0 before the first pass has ended.',
      oneOf('state', states, status?.state),
    ),
    ...(status === undefined ? [] : metricsOfStatus(status)),
    gauge(
      'node_firewall_set_entries',
      'Networks that a kernel set of addresses held when it was last read.',
      [...setSizes].slice(0, mostSets).map(([set, value]) => ({ labels: { set }, value })),
    ),
    counter(
      'node_firewall_passes_total',
      'Passes by what became of them: rules were written, nothing had to be, or they failed.',
      labelled(passes, 'result'),
    ),
    counter(
      'node_firewall_rollbacks_total',
      'Changes of rules that this agent has taken back.',
      labelled(rollbacks),
    ),
    counter(
      'node_firewall_command_failures_total',
      'Commands that failed or took too long, by program.',
      labelled(commandFailures, 'program'),
    ),
    counter(
      'node_firewall_api_writes_total',
      'Requests that write to the API server: annotations of the Node, and Events.',
      writes,
    ),
  ]
}

function metricsOfStatus({ ruleset, appliedAt, verifiedAt, details }: Status): Metric[] {
  const { families, drift, mode, notEnforceable } = details
  const ofFamily = (value: (family: NonNullable<(typeof families)['ipv4']>) => number): Sample[] =>
    Object.entries(families).map(([family, seen]) => ({ labels: { family }, value: value(seen) }))
  return [
    gauge(
      'node_firewall_override',
      'Whether somebody has overridden the rulesets of this node, by mode.',
      oneOf('mode', ['off', 'audit'], mode?.mode),
    ),
    gauge(
      'node_firewall_ruleset_info',
      'Hash of the rulesets in force, as read back from the kernel; always 1.',
      [{ labels: { ruleset }, value: 1 }],
    ),
    gauge(
      'node_firewall_last_applied_timestamp_seconds',
      'When rules were last written by this agent.',
      one(secondsOf(appliedAt)),
    ),
    gauge(
      'node_firewall_last_verified_timestamp_seconds',
      'When all was last read back and found as it should be.',
      one(secondsOf(verifiedAt)),
    ),
    gauge(
      'node_firewall_in_force',
      'Whether our rules were read back from the kernel: 1 they are in force, 0 they are not, or it is not known.',
      ofFamily(({ inForce }) => (inForce === 'yes' ? 1 : 0)),
    ),
    gauge(
      'node_firewall_rules',
      'iptables rules of ours in the kernel.',
      ofFamily(({ rules }) => rules),
    ),
    counter(
      'node_firewall_drift_total',
      'Changes from outside to what is in force, by kind.',
      driftKinds.map((kind) => ({ labels: { kind }, value: drift.byKind[kind] ?? 0 })),
    ),
    gauge(
      'node_firewall_not_enforceable',
      'Findings of what rules cannot do on this node; at most 10.',
      one(notEnforceable.length),
    ),
    gauge(
      'node_firewall_not_enforceable_info',
      'What rules cannot do on this node; always 1.',
      [...new Set(notEnforceable.map((finding) => finding.slice(0, longestFinding)))].map((finding) => ({
        labels: { finding },
        value: 1,
      })),
    ),
  ]
}

const everyState: Readonly<Record<State, true>> = {
  Enforcing: true,
  Auditing: true,
  Waiting: true,
  Confirming: true,
  RolledBack: true,
  Invalid: true,
  Degraded: true,
  Off: true,
}
const states = Object.keys(everyState)

const everyDrift: Readonly<Record<Difference['kind'] | 'policy-changed', true>> = {
  'chain-missing': true,
  'chain-changed': true,
  'chain-unwanted': true,
  'jump-missing': true,
  'jump-repeated': true,
  'jump-changed': true,
  'jump-preceded': true,
  'jump-unwanted': true,
  'set-missing': true,
  'set-changed': true,
  'set-unwanted': true,
  'made-unwanted': true,
  'policy-changed': true,
}
const driftKinds = Object.keys(everyDrift)

function oneOf(label: string, values: readonly string[], value: string | undefined): Sample[] {
  return values.map((each) => ({ labels: { [label]: each }, value: each === value ? 1 : 0 }))
}

function labelled(
  tally: Tally<string>,
  label?: string,
  others: Readonly<Record<string, string>> = {},
): Sample[] {
  return tally
    .entries()
    .map(([key, value]) => ({ labels: label === undefined ? {} : { ...others, [label]: key }, value }))
}

function secondsOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time) / 1000
}
