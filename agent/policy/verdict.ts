import type { Flow } from '../ruleset/ruleset.ts'
import type { Action } from '../ruleset/fields.ts'
import { viewsOf } from './connection.ts'
import type { Connection, View } from './connection.ts'
import { holdsFor } from './matches.ts'
import type { Policy, PolicyRule } from './policy.ts'

/** What becomes of a connection, and why. */
export type Verdict = Decision & {
  /** Flows that it went through before, which all accepted it. */
  readonly before: readonly Decision[]
}

/** What one flow says of a connection. */
export type Decision = {
  readonly flow: Flow
  readonly action: Action
  readonly by: Decider
  /** It counts towards a limit: what exceeds that is dropped, this holds for the first packet in a fresh bucket. */
  readonly limited: boolean
  /** What would have denied it, were it not in audit mode. */
  readonly audited: readonly WouldDeny[]
}

export type Decider = {
  readonly kind: PolicyRule['kind'] | 'none'
  readonly ruleset?: string
  readonly name: string
  /** Of a failsafe: what was seen that it follows from. */
  readonly fact?: string
}
export type WouldDeny = { readonly action: Action; readonly by: Decider }

const noRule: Decider = { kind: 'none', name: 'no rule' }

/**
 * Says what a policy does with the first packet of a connection. It states once more, without the kernel, what
 * the compiled chains mean.
 */
export function decideConnection(policy: Policy, connection: Connection): Verdict {
  const views = viewsOf(policy, connection)
  if (connection.in === 'lo' || connection.out === 'lo') {
    const by: Decider = { kind: 'failsafe', name: 'loopback' }
    return {
      flow: views[0]?.flow ?? 'ingress',
      action: 'accept',
      by,
      limited: false,
      audited: [],
      before: [],
    }
  }
  const decisions: Decision[] = []
  for (const view of views) {
    const decision = decideFlow(policy, connection, view)
    if (decision.action !== 'accept') return { ...decision, before: decisions }
    decisions.push(decision)
  }
  const last = decisions.at(-1)
  if (last === undefined) throw new Error('deciding a connection: it goes through no flow')
  return { ...last, before: decisions.slice(0, -1) }
}

/**
 * What one flow alone says of a connection, such as one that stands already; nothing where the connection does not
 * come by there.
 */
export function decideInFlow(policy: Policy, connection: Connection, flow: Flow): Decision | undefined {
  const view = viewsOf(policy, connection).find((one) => one.flow === flow)
  return view === undefined ? undefined : decideFlow(policy, connection, view)
}

/** Whether a rule stands in a view at all, and matches there. */
export function ruleMatches(policy: Policy, connection: Connection, view: View, rule: PolicyRule): boolean {
  if (rule.kind === 'failsafe' && !view.failsafes) return false
  return holdsFor(rule.match, connection, view, policy.clusterSets)
}

/** Whether a rule ends the way of what it matches: one that drops what exceeds a limit lets the rest go on. */
export function decides(rule: Pick<PolicyRule, 'action' | 'audit' | 'limit' | 'connections'>): boolean {
  return !rule.audit && (rule.action === 'accept' || !hasLimit(rule))
}

/** Who a rule is, in an answer. */
export function toDecider({ kind, ruleset, name, fact }: PolicyRule): Decider {
  return {
    kind,
    ...(ruleset === undefined ? {} : { ruleset }),
    name,
    ...(fact === undefined ? {} : { fact }),
  }
}

function decideFlow(policy: Policy, connection: Connection, view: View): Decision {
  const { flow } = view
  const audited: WouldDeny[] = []
  let limited = false
  const matches = (rule: PolicyRule) => ruleMatches(policy, connection, view, rule)
  for (const step of policy.flows[flow]) {
    const rules = step.kind === 'audit' ? step.rules : [step]
    const { deciding, passed } = firstMatch(rules, matches)
    audited.push(...passed.filter((rule) => rule.audit && !hasLimit(rule)).map(toWouldDeny))
    if (step.kind === 'audit') {
      if (deciding !== undefined && deciding.action !== 'accept') audited.push(toWouldDeny(deciding))
      continue
    }
    limited ||= [...passed, deciding].some((rule) => rule !== undefined && !rule.audit && hasLimit(rule))
    if (deciding !== undefined) {
      return { flow, action: deciding.action, by: toDecider(deciding), limited, audited }
    }
  }
  return { flow, action: 'accept', by: noRule, limited, audited }
}

/** The first match that decides, and the ones it went past that do not. */
function firstMatch(rules: readonly PolicyRule[], matches: (rule: PolicyRule) => boolean) {
  const passed: PolicyRule[] = []
  for (const rule of rules) {
    if (!matches(rule)) continue
    if (decides(rule)) return { deciding: rule, passed }
    passed.push(rule)
  }
  return { passed }
}

function hasLimit({ limit, connections }: Pick<PolicyRule, 'limit' | 'connections'>): boolean {
  return limit !== undefined || connections !== undefined
}

function toWouldDeny(rule: PolicyRule): WouldDeny {
  return { action: rule.action, by: toDecider(rule) }
}
