import type { NodeMeta } from '../cluster/wire.ts'
import { hashRulesets } from '../policy/resolve.ts'
import { hasErrors } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { selectRulesets } from '../ruleset/select.ts'
import type { Labels } from '../ruleset/select.ts'
import { assessNode, noStatus, stale } from '../status/assess.ts'
import type { State } from '../status/status.ts'

/**
 * How far a node is with rulesets:
 * - there: it has them in force, verified, in a state that is wanted;
 * - under way: not yet, or not any more;
 * - invalid: what it reads has errors. That may be what was deployed before;
 * - refused: it will not have these rulesets in force;
 * - no agent: nobody has written a status there.
 */
export type Judgement = {
  readonly kind: 'there' | 'under way' | 'invalid' | 'refused' | 'no agent'
  /** A line for a person. */
  readonly why: string
  /** Of an invalid one: what is wrong. */
  readonly problems?: string
}

export type JudgeOptions = {
  /** States in which the rulesets count as enforced. */
  readonly states: readonly State[]
  /** ms */
  readonly staleAfter: number
}

/** Judges nodes by what the rulesets select of them; undefined for a node that none selects. */
export function createJudge(
  rulesets: readonly Ruleset[],
  { states, staleAfter }: JudgeOptions,
): (node: NodeMeta, now: number) => Judgement | undefined {
  const wantedOf = createHashes(rulesets)
  return (node, now) => {
    const wanted = wantedOf(node.labels)
    if (wanted === undefined) return undefined
    if ('error' in wanted) return { kind: 'refused', why: wanted.error }
    const { condition, message, status } = assessNode(node, { now, staleAfter })
    if (status === undefined || condition === noStatus) return { kind: 'no agent', why: message }
    const { change, mode } = status.details
    if (change?.ruleset === wanted.hash && (change.step === 'rolled back' || change.step === 'stopped')) {
      return { kind: 'refused', why: `${condition}: ${message}` }
    }
    if (condition === 'Invalid') {
      const problems = status.details.problems?.join(' ') ?? message
      return { kind: 'invalid', why: `${condition}: ${message}`, problems }
    }
    const isWanted = states.some((state) => state === condition)
    if (isWanted && status.ruleset === wanted.hash) return { kind: 'there', why: condition }
    const found = `${condition}, ruleset ${status.ruleset}`
    const why =
      condition === stale || !isWanted
        ? message
        : mode === undefined
          ? `the files say ${wanted.hash}; are these all files of its ConfigMap, and has the kubelet brought them?`
          : `${mode.mode} by order of ${mode.by}`
    return { kind: 'under way', why: `${found}: ${why}` }
  }
}

type Wanted = { readonly hash: string } | { readonly error: string }

/** What nodes are to have in force, by their labels; nodes with the same rulesets share the work. */
function createHashes(rulesets: readonly Ruleset[]): (labels: Labels) => Wanted | undefined {
  const known = new Map<string, Wanted>()
  return (labels) => {
    const selected = selectRulesets(rulesets, labels)
    if (selected.rulesets.length === 0) return undefined
    const key = selected.rulesets.map(({ name }) => name).join(' ')
    const wanted = known.get(key) ?? wantedFrom(selected)
    known.set(key, wanted)
    return wanted
  }
}

function wantedFrom({ rulesets, problems }: ReturnType<typeof selectRulesets>): Wanted {
  if (hasErrors(problems)) return { error: problems.map(formatProblem).join('; ') }
  return { hash: hashRulesets(rulesets) }
}
