import { defined, intersect, keyOf } from './match.ts'
import type { Match } from './match.ts'
import type { Limits, SourceRule, SourceTable } from './source.ts'

export type BaseChain = 'INPUT' | 'FORWARD' | 'OUTPUT'

/** A rule without chains: the first that matches decides. */
export type FlatRule = {
  readonly line: number
  readonly text: string
  readonly comment?: string
  readonly remark?: string
  readonly action: 'accept' | 'drop' | 'reject'
  readonly match: Match
  readonly limits: Limits
  readonly log: boolean
  /** It is the policy of the base chain. */
  readonly policy: boolean
}

/** What a packet meets on its way: decisions, and what only logs or only counts before one. */
export type Step = FlatRule | Prelude
export type Prelude = Pick<FlatRule, 'line' | 'text' | 'match' | 'limits'> & {
  readonly action: 'log'
}

export function isPrelude(step: Step): step is Prelude {
  return step.action === 'log'
}

/** How a rule denies, by itself or through a chain that does nothing else. */
export function refusalOf(
  { target }: SourceRule,
  table: SourceTable,
): { rejects: boolean; logs: boolean } | undefined {
  if (!('chain' in target)) {
    const denies = target.kind === 'drop' || target.kind === 'reject'
    return denies ? { rejects: target.kind === 'reject', logs: false } : undefined
  }
  const rules = table.get(target.chain)?.rules ?? []
  const last = rules.at(-1)
  const others = rules.slice(0, -1)
  if (
    last === undefined ||
    keyOf(last.match) !== keyOf({}) ||
    others.some((one) => one.target.kind !== 'log')
  )
    return undefined
  const refusal = 'chain' in last.target ? undefined : refusalOf(last, table)
  return refusal === undefined ? undefined : { ...refusal, logs: others.length > 0 }
}

export function attribute(step: Step, { line, text, comment, remark }: SourceRule): Step {
  if (isPrelude(step)) return step
  const words = defined({ comment: step.comment ?? comment, remark: step.remark ?? remark })
  return { ...step, ...words, ...(step.policy ? { line, text, policy: false } : {}) }
}

/** Rules of a chain have the comment of the jump where they have none, and what the jump asked of connections. */
export function inherit(rule: SourceRule, jump: SourceRule): SourceRule {
  const comment = rule.comment ?? jump.comment
  return {
    ...rule,
    ...(comment === undefined ? {} : { comment }),
    redirected: rule.redirected || jump.redirected,
  }
}

/** Whether a rule sends all packets that come to it back to the caller of its chain. */
export function leaves({ target, match, except, cap, states, unknown }: SourceRule, within: Match): boolean {
  const plain =
    cap === undefined && states === undefined && unknown.length === 0 && Object.keys(except).length === 0
  if (target.kind !== 'return' || !plain) return false
  const common = intersect(within, match)
  return common !== undefined && keyOf(common) === keyOf(within)
}
