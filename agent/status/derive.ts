import type { Progress } from '../confirm/trials.ts'
import type { FamilyOutcome } from '../netfilter/keep-family.ts'
import { formatProblem } from '../ruleset/problem.ts'
import { describe } from './describe.ts'
import type { FactsSeen, Knowledge } from './knowledge.ts'
import { mostListed, notEnforceable, warnings } from './remarks.ts'
import type { ChangeStatus, FamilyStatus, State, Status, StatusDetails } from './status.ts'

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
