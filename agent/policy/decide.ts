import { hasErrors } from '../ruleset/parse.ts'
import type { Parsed } from '../ruleset/parse.ts'
import type { Problem } from '../ruleset/problem.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { needsLabels, selectRulesets } from '../ruleset/select.ts'
import type { Labels } from '../ruleset/select.ts'
import type { NodeFacts, Policy } from './policy.ts'
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
}

/** What is known when deciding; `undefined` where it could not be had. */
export type Known = {
  readonly parsed: Parsed
  readonly labels: Labels | undefined
  readonly facts: NodeFacts | undefined
}

/**
 * Decides what should be in force. Whatever is missing or wrong never opens or closes anything: the decision
 * before stands, and at the very start whatever the kernel holds.
 */
export function decide(last: Decision | undefined, { parsed, labels, facts }: Known): Decision {
  const { problems } = parsed
  const rulesets = hasErrors(problems) ? last?.rulesets : parsed.rulesets
  const keep = (reason: Pick<Decision, 'obstacle'> & Partial<Decision>): Decision => ({
    wanted: last?.wanted ?? { kind: 'whatever is there' },
    ...(last?.rulesets === undefined ? {} : { rulesets: last.rulesets }),
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
  try {
    return { wanted: { kind: 'policy', policy: resolvePolicy(selected.rulesets, facts) }, rulesets, problems }
  } catch (error) {
    if (error instanceof UnresolvedError) return keep({ rulesets, obstacle: error.message })
    throw error
  }
}
