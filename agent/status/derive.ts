import type { Dataplane } from '../bypass/dataplane.ts'
import { findBypasses } from '../bypass/find-bypasses.ts'
import { describeFinding } from '../bypass/finding.ts'
import { warnOfUnseen } from '../bypass/judge-programs.ts'
import type { Override } from '../confirm/break-glass.ts'
import type { Progress } from '../confirm/trials.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { FamilyOutcome, Seen } from '../netfilter/keep-family.ts'
import type { Decision } from '../policy/decide.ts'
import type { NodeFacts } from '../policy/policy.ts'
import { hasInterface } from '../policy/warn.ts'
import type { Family } from '../ruleset/address.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type {
  ChangeStatus,
  CutStatus,
  DriftStatus,
  FamilyStatus,
  State,
  Status,
  StatusDetails,
} from './status.ts'

/** What a pass knows at its end. */
export type Knowledge = {
  readonly decision?: Decision
  readonly facts?: FactsSeen
  readonly backend?: Backend
  readonly source?: 'mount' | 'api' | undefined
  readonly families: Readonly<Partial<Record<Family, FamilyOutcome>>>
  /** What is worth knowing of the backend that is not in use, as of the last time somebody looked. */
  readonly otherRules: readonly string[]
  readonly drift: DriftStatus
  /** What stands beside netfilter on the way of packets. */
  readonly dataplane?: Dataplane | undefined
  /** Where new rulesets stand, if they are not simply in force. */
  readonly progress?: Progress | undefined
  /** Who has overridden the rulesets, and what is odd about it. */
  readonly overridden?: { readonly override?: Override; readonly problems: readonly string[] }
  /** What is wrong with what is kept on the host. */
  readonly keptProblems?: readonly string[]
  readonly cut?: CutStatus | undefined
  /** How what rules log is read, and what was denied most; absent: no rule logs, or nobody reads it. */
  readonly logging?: Pick<StatusDetails, 'logging' | 'denied'> | undefined
  readonly appliedAt?: string | undefined
  readonly verifiedAt?: string | undefined
  /** Why the pass could not even begin to look at the kernel. */
  readonly failure?: Error
}

/** Facts of the node as they were read last, and what is odd about them. */
export type FactsSeen = { readonly value: NodeFacts | undefined; readonly warnings: readonly string[] }

/** Annotations are for reading: the log has the rest. */
const mostListed = 5

/** Says what is so, from what was read back; never what was hoped for. */
export function deriveStatus(knowledge: Knowledge): Status {
  const { decision, families, facts, backend, appliedAt, verifiedAt } = knowledge
  const outcomes = Object.entries(families)
  const errors = (decision?.problems ?? []).filter(({ severity }) => severity === 'error').map(formatProblem)
  const troubles = [
    ...(knowledge.failure === undefined ? [] : [knowledge.failure.message]),
    ...outcomes.flatMap(([family, { error }]) =>
      error === undefined ? [] : [`${family}: ${error.message}`],
    ),
    ...(decision?.obstacle === undefined ? [] : [decision.obstacle]),
    ...outcomes.flatMap(([family, { left }]) => left.map(({ message }) => `${family}: ${message}`)),
  ]
  const state = deriveState(knowledge, errors, troubles)
  return {
    state,
    ruleset: inForce(families),
    message: describe(state, knowledge, errors, troubles),
    ...(appliedAt === undefined ? {} : { appliedAt }),
    ...(verifiedAt === undefined ? {} : { verifiedAt }),
    details: {
      ...(backend === undefined ? {} : { backend }),
      ...(knowledge.source === undefined ? {} : { source: knowledge.source }),
      interfaces: { external: facts?.value?.external ?? [] },
      ...portsOf(facts),
      families: Object.fromEntries(outcomes.map(([family, outcome]) => [family, familyStatus(outcome)])),
      drift: knowledge.drift,
      ...changeOf(knowledge.progress),
      ...(knowledge.overridden?.override === undefined ? {} : { mode: knowledge.overridden.override }),
      ...(knowledge.cut === undefined ? {} : { connections: knowledge.cut }),
      ...knowledge.logging,
      problems: errors.slice(0, mostListed),
      warnings: warnings(knowledge),
      notEnforceable: notEnforceable(knowledge),
    },
  }
}

function portsOf(facts: FactsSeen | undefined): Pick<StatusDetails, 'ports'> {
  const ports = facts?.value?.ports ?? {}
  return Object.keys(ports).length === 0 ? {} : { ports }
}

function changeOf(progress: Progress | undefined): { readonly change?: ChangeStatus } {
  if (progress === undefined) return {}
  const { kind, hash: ruleset } = progress
  switch (kind) {
    case 'wait':
    case 'stopped':
      return { change: { ruleset, step: kind === 'wait' ? 'waiting' : kind, message: progress.message } }
    case 'confirming':
      return { change: { ruleset, step: kind, probes: progress.probes } }
    case 'rolled back': {
      const { probe, reason, at } = progress.quarantined
      return { change: { ruleset, step: kind, failed: `${probe}: ${reason}`, at } }
    }
  }
}

function deriveState(
  { decision, progress, overridden }: Knowledge,
  errors: readonly string[],
  troubles: readonly string[],
): State {
  if (troubles.length > 0) return 'Degraded'
  if (overridden?.override?.mode === 'off') return 'Off'
  if (errors.length > 0) return 'Invalid'
  if (progress !== undefined) return stateOf[progress.kind]
  if (decision?.wanted.kind !== 'policy') return 'Off'
  return decision.wanted.policy.mode === 'audit' ? 'Auditing' : 'Enforcing'
}

const stateOf: Readonly<Record<Progress['kind'], State>> = {
  wait: 'Waiting',
  stopped: 'Waiting',
  confirming: 'Confirming',
  'rolled back': 'RolledBack',
}

function inForce(families: Knowledge['families']): string {
  const hashes = Object.values(families).map(({ seen }) => seen?.ruleset ?? 'unknown')
  return [...new Set(hashes)].join(' / ') || 'unknown'
}

function describe(
  state: State,
  knowledge: Knowledge,
  errors: readonly string[],
  troubles: readonly string[],
): string {
  const { families, progress, overridden } = knowledge
  const standing = standingRules(families)
  switch (state) {
    case 'Enforcing':
      return `${standing} verified with iptables-${knowledge.backend}${ofNoInterface(knowledge)}`
    case 'Auditing':
      return `nothing is denied, only counted and logged${orderedBy(overridden)}; ${standing}${ofNoInterface(knowledge)}`
    case 'Off':
      return overridden?.override === undefined
        ? 'no ruleset selects this node: nothing is filtered'
        : `nothing is filtered${orderedBy(overridden)}`
    case 'Waiting':
    case 'Confirming':
    case 'RolledBack':
      return progress === undefined ? standing : describeProgress(progress, standing)
    case 'Invalid': {
      const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
      return `${errors[0]}${more}; ${standing} of before`
    }
    case 'Degraded':
      return [...troubles, ...errors.slice(0, 1), standing].join('; ')
  }
}

/** What is in force can still be about nothing: that is no detail. */
function ofNoInterface({ decision }: Knowledge): string {
  const { selected = [], facts } = decision?.resolvedFrom ?? {}
  return selected
    .filter(({ external }) => external !== 'auto' && !hasInterface(external, facts?.interfaces ?? []))
    .map(({ name, external }) => {
      return `; but ruleset ${name} matches nothing that comes in: no interface is called ${[external].flat().join(' or ')} here`
    })
    .join('')
}

function orderedBy(overridden: Knowledge['overridden']): string {
  const by = overridden?.override?.by
  return by === undefined ? '' : ` by order of ${by}`
}

function describeProgress(progress: Progress, standing: string): string {
  const { hash } = progress
  switch (progress.kind) {
    case 'wait':
      return `ruleset ${hash} waits: ${progress.message}; ${standing} of before`
    case 'stopped':
      return `ruleset ${hash} is not tried here: ${progress.message}; ${standing} of before`
    case 'confirming':
      return progress.isInForce
        ? `ruleset ${hash} is being tried, ${progress.probes.length} probes decide; ${standing}`
        : `ruleset ${hash} is about to be tried, it is being asked what works before; ${standing}`
    case 'rolled back': {
      const { probe, reason } = progress.quarantined
      return `ruleset ${hash} was rolled back, ${probe} failed: ${reason}; it is not tried again until its text changes; ${standing} of before`
    }
  }
}

/** "10 rules (ipv4) and 12 rules (ipv6) in force" */
function standingRules(families: Knowledge['families']): string {
  const parts = Object.entries(families).map(([family, { seen }]) => {
    if (seen === undefined) return `${family} unknown`
    return seen.ruleset === 'none' ? `no rules for ${family}` : `${seen.rules} rules for ${family}`
  })
  return `in force: ${parts.join(', ') || 'unknown'}`
}

function familyStatus({ seen, error }: FamilyOutcome): FamilyStatus {
  if (seen === undefined) {
    return {
      inForce: 'unknown',
      ruleset: 'unknown',
      rules: 0,
      position: 'absent',
      error: error?.message ?? '',
    }
  }
  const { jumps = [], precededBy } = seen.positions.INPUT ?? {}
  return {
    inForce: jumps.length > 0 && seen.ruleset !== 'none' ? 'yes' : 'no',
    ruleset: seen.ruleset,
    rules: seen.rules,
    ...(seen.sets === 0 ? {} : { sets: seen.sets }),
    position: jumps.length === 0 ? 'absent' : precededBy === undefined ? 'first' : 'preceded',
  }
}

function warnings(knowledge: Knowledge): string[] {
  const { decision, families, facts, otherRules, overridden, keptProblems = [], dataplane } = knowledge
  const ofInput = (decision?.problems ?? [])
    .filter(({ severity }) => severity === 'warning')
    .map(formatProblem)
  const ofPolicy = decision?.wanted.kind === 'policy' ? decision.wanted.policy.warnings : []
  const ofFamilies = Object.entries(families).flatMap(([family, { seen, notes }]) => [
    ...notes.map((note) => `${family}: ${note}`),
    ...closedBases(seen).map(
      (base) =>
        `${family}: the policy of ${base} is DROP, so what a rule accepts is dropped unless somebody else accepts it`,
    ),
  ])
  const ofHost = [
    ...(overridden?.problems ?? []),
    ...keptProblems,
    ...(dataplane === undefined ? [] : [...dataplane.unread, ...warnOfUnseen(dataplane)]),
    ...unread(knowledge.logging),
  ]
  return [...ofHost, ...(facts?.warnings ?? []), ...otherRules, ...ofPolicy, ...ofInput, ...ofFamilies].slice(
    0,
    mostListed * 2,
  )
}

function unread(logging: Knowledge['logging']): string[] {
  if (logging?.logging?.by !== 'nothing') return []
  return [`what rules log is not read: ${logging.logging.note ?? ''}`]
}

function notEnforceable({ families, dataplane }: Knowledge): string[] {
  const beside = dataplane === undefined ? [] : findBypasses(dataplane).map(describeFinding)
  const before = Object.entries(families).flatMap(([family, { seen }]) => {
    return Object.entries(seen?.positions ?? {}).flatMap(([base, { precededBy }]) => {
      if (precededBy === undefined) return []
      const { rule } = precededBy
      return [
        `${family}: what "-A ${base} ${rule}" accepts or drops never reaches our rules; it belongs to somebody else`,
      ]
    })
  })
  return [...before, ...beside].slice(0, mostListed * 2)
}

/** Base chains that lead to ours and drop what nobody decides. */
function closedBases(seen: Seen | undefined): string[] {
  return Object.entries(seen?.positions ?? {})
    .filter(([, { jumps, policy }]) => policy === 'DROP' && jumps.length > 0)
    .map(([base]) => base)
}
