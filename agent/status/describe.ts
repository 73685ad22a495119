import type { Progress } from '../confirm/trials.ts'
import { hasInterface } from '../policy/warn.ts'
import type { Knowledge } from './knowledge.ts'
import type { State } from './status.ts'

/** One line that a person can act on. */
export function describe(
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
