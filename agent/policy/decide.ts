import { hasErrors } from '../ruleset/parse.ts'
import type { Parsed } from '../ruleset/parse.ts'
import type { Problem } from '../ruleset/problem.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { needsLabels, selectRulesets } from '../ruleset/select.ts'
import type { Labels } from '../ruleset/select.ts'
import type { ClusterFacts, NodeFacts, Policy } from './policy.ts'
import { resolvePolicy, UnresolvedError } from './resolve.ts'

/** What should be in force on this node: a policy, nothing at all, or whatever is there, since nothing is known. */
export type Wanted =
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'whatever is there' }

export type Decision = {
  readonly wanted: Wanted
  /** The last rulesets without errors. */
  readonly rulesets?: readonly Ruleset[]
  /** What is wrong in the rulesets as they are written now. */
  readonly problems: readonly Problem[]
  /** Why something older than what is written now is wanted, though it is no error of the rulesets. */
  readonly obstacle?: string
  /** What the policy was resolved from. */
  readonly resolvedFrom?: ResolvedFrom
}

type ResolvedFrom = {
  readonly selected: readonly Ruleset[]
  readonly facts: NodeFacts
  readonly cluster: ClusterFacts
  readonly widens: boolean
}

/** What is known when deciding; `undefined` where it could not be had. */
export type Known = {
  readonly parsed: Parsed
  readonly labels: Labels | undefined
  readonly facts: NodeFacts | undefined
  readonly cluster: ClusterFacts
  /** ms since the epoch */
  readonly now: number
  /** All rulesets are in audit mode, whatever they say. */
  readonly audits?: boolean
  /** Failsafes are as wide as if nothing were known of the cluster. */
  readonly widens?: boolean
}

/**
 * Decides what should be in force. Whatever is missing or wrong never opens or closes anything: the decision
 * before stands, and at the very start whatever the kernel holds.
 */
export function decide(last: Decision | undefined, known: Known): Decision {
  const { parsed, labels, facts, cluster, now, widens = false } = known
  const { problems } = parsed
  const rulesets = hasErrors(problems) ? last?.rulesets : parsed.rulesets
  const keep = (reason: Pick<Decision, 'obstacle'> & Partial<Decision>): Decision => ({
    wanted: last?.wanted ?? { kind: 'whatever is there' },
    ...(last?.rulesets === undefined ? {} : { rulesets: last.rulesets }),
    ...(last?.resolvedFrom === undefined ? {} : { resolvedFrom: last.resolvedFrom }),
    problems,
    ...reason,
  })
  if (rulesets === undefined) return keep({})
  if (labels === undefined && needsLabels(rulesets)) {
    return keep({ obstacle: 'the labels of this node are not known, and a nodeSelector needs them' })
  }
  const selected = selectRulesets(rulesets, labels ?? {})
  if (hasErrors(selected.problems)) return keep({ problems: [...problems, ...selected.problems] })
  if (selected.rulesets.length === 0) return { wanted: { kind: 'nothing' }, rulesets, problems }
  if (facts === undefined)
    return keep({ rulesets, obstacle: 'the interfaces of this node could not be read' })
  const meant = known.audits === true ? selected.rulesets.map(inAuditMode) : selected.rulesets
  const resolvedFrom = { selected: meant, facts, cluster, widens }
  if (last?.wanted.kind === 'policy' && isCurrent(last, resolvedFrom, now)) {
    return { wanted: last.wanted, rulesets, problems, resolvedFrom }
  }
  try {
    const policy = resolvePolicy(meant, { facts, cluster, now, widens })
    return { wanted: { kind: 'policy', policy }, rulesets, problems, resolvedFrom }
  } catch (error) {
    if (error instanceof UnresolvedError) return keep({ rulesets, obstacle: error.message })
    throw error
  }
}

/** Whether resolving again could only lead to the same policy. */
function isCurrent({ wanted, resolvedFrom }: Decision, from: ResolvedFrom, now: number): boolean {
  if (wanted.kind !== 'policy' || resolvedFrom === undefined) return false
  // The clock of the machine can be set back, too.
  if (now < wanted.policy.changedAt || now >= wanted.policy.changesAt) return false
  const { selected, facts, cluster, widens } = resolvedFrom
  return (
    selected.length === from.selected.length &&
    selected.every((ruleset, index) => ruleset === from.selected[index]) &&
    cluster === from.cluster &&
    widens === from.widens &&
    JSON.stringify(facts) === JSON.stringify(from.facts)
  )
}

const audited = new WeakMap<Ruleset, Ruleset>()

/** The same object for the same ruleset, so that it need not be resolved again. */
function inAuditMode(ruleset: Ruleset): Ruleset {
  const known = audited.get(ruleset) ?? { ...ruleset, mode: 'audit' }
  audited.set(ruleset, known)
  return known
}
