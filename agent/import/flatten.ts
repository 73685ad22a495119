import type { Family } from '../ruleset/address.ts'
import { defined, intersect, keyOf } from './match.ts'
import type { Match } from './match.ts'
import { invertNetworks } from './networks.ts'
import type { Note } from './note.ts'
import { explainCovered, explainLost } from './explain-rule.ts'
import { attribute, inherit, isPrelude, leaves, refusalOf } from './flat-rule.ts'
import type { BaseChain, Step } from './flat-rule.ts'
import { isForeign } from './foreign-chains.ts'
import type { Limits, SourceChain, SourceRule, SourceTable } from './source.ts'

export type Flattened = {
  readonly steps: readonly Step[]
  readonly notes: readonly Note[]
  /** Chains that were followed. */
  readonly visited: ReadonlySet<string>
}

/** More rules than this are no firewall that somebody could read. */
const mostSteps = 5000
const mostWork = 200_000
const deepest = 100

/**
 * Writes a base chain, and all chains it jumps to, as one list of rules. A RETURN becomes what follows in the
 * caller, limited to what the RETURN matches; a negated address becomes what follows, limited to that address,
 * before the rule itself. What cannot be written is noted and left out.
 */
export function flattenChain(table: SourceTable, base: BaseChain, family: Family): Flattened {
  const notes: Note[] = []
  const visited = new Set<string>()
  let steps: Step[] = []
  let room = mostSteps
  let work = 0
  const chain = table.get(base)
  if (chain === undefined) return { steps, notes, visited }

  /** The RETURN that led to what is followed now: it is its author's words that the rule has. */
  let origin: SourceRule | undefined
  const emit = (step: Step) => {
    steps.push(origin === undefined ? step : attribute(step, origin))
    if (steps.length > room) throw room === 1 ? new NotSimpleError() : new TooManyRulesError(step.line)
  }
  const policy = chain.policy ?? 'accept'
  const atEnd = (match: Match) =>
    emit({
      line: chain.line,
      text: `policy of ${base}`,
      action: policy,
      match,
      limits: {},
      log: false,
      policy: true,
    })

  try {
    if (!walk(chain, 0, {}, atEnd, 0)) atEnd({})
  } catch (error) {
    if (!(error instanceof TooManyRulesError)) throw error
    const message = `chains that return to each other make more than ${mostSteps} rules of ${base}: none of it is read`
    return { steps: [], notes: [...notes, { line: error.line, kind: 'lost', message }], visited }
  }
  return { steps, notes, visited }

  /**
   * Follows a chain for the packets of `within`. Answers whether all of them are decided; those that are not go
   * on with the caller's next rule. `after` is where a RETURN leads.
   */
  function walk(
    { rules }: Pick<SourceChain, 'rules'>,
    start: number,
    within: Match,
    after: (match: Match) => void,
    depth: number,
  ): boolean {
    for (const [offset, rule] of rules.slice(start).entries()) {
      const rest = (match: Match) => {
        if (!walk({ rules }, start + offset + 1, match, after, depth + 1)) after(match)
      }
      work += 1
      if (depth > deepest || work > mostWork) throw new TooManyRulesError(rule.line)
      // All of them come back to where the chain was called from, as they do at its end.
      if (leaves(rule, within)) return false
      if (decide(rule, within, rest, after, depth)) return true
    }
    return false
  }

  function decide(
    rule: SourceRule,
    within: Match,
    rest: (match: Match) => void,
    after: (match: Match) => void,
    depth: number,
  ): boolean {
    const { line, target } = rule
    if ('chain' in target && isForeign(target.chain)) return false
    const common = intersect(within, rule.match)
    if (common === undefined) return false
    const covered = explainCovered(rule, common, base, family)
    if (covered !== undefined) {
      if (covered !== '') notes.push({ line, kind: 'covered', message: `"${rule.text}": ${covered}` })
      return false
    }
    const lost = explainLost(rule, common, base, family)
    if (lost !== undefined) {
      notes.push({ line, kind: 'lost', message: `"${rule.text}": ${lost}` })
      return false
    }
    const match = applyExceptions(rule, common, rest)
    if (match === undefined) return false
    return follow(rule, match, rest, after, depth) && keyOf(match) === keyOf(within)
  }

  /** Whether all packets of the match are decided. */
  function follow(
    rule: SourceRule,
    match: Match,
    rest: (match: Match) => void,
    after: (match: Match) => void,
    depth: number,
  ): boolean {
    const { target, cap, line, text } = rule
    const limits = cap?.limits ?? {}
    if (cap?.side === 'beyond') return denyExcess(rule, match)
    switch (target.kind) {
      case 'accept':
      case 'drop':
      case 'reject': {
        const refusal =
          target.kind === 'reject'
            ? / --reject-with (\S+-(?:prohibited|unreachable))/.exec(text)?.[1]
            : undefined
        if (refusal !== undefined && !refusal.includes('port-unreachable')) {
          notes.push({ line, kind: 'advice', message: `"${text}": here it is a reset or port unreachable` })
        }
        const named = defined({ comment: rule.comment, remark: rule.remark })
        emit({ line, text, ...named, action: target.kind, match, limits, log: false, policy: false })
        return cap === undefined
      }
      case 'return':
        return comeBack(rule, match, rest, after)
      case 'jump':
      case 'goto': {
        const chain = table.get(target.chain)
        const back = target.kind === 'jump' ? rest : after
        visited.add(target.chain)
        if (chain === undefined) {
          notes.push({ line, kind: 'lost', message: `"${text}": chain ${target.chain} is not in this file` })
          return false
        }
        const inherited = chain.rules.map((one) => inherit(one, rule))
        if (walk({ rules: inherited }, 0, match, back, depth + 1)) return true
        if (target.kind === 'goto') after(match)
        return target.kind === 'goto'
      }
      case 'log':
        if (text.includes('--log-') || cap !== undefined) {
          const message = `"${text}": what is logged has a prefix and a rate of its own here`
          notes.push({ line, kind: 'covered', message })
        }
        emit({ line, text, action: 'log', match, limits: {} })
        return false
      case 'none':
      case 'other':
        return false
    }
  }

  /** A limit on a rule that drops: what exceeds it is dropped, all else goes on. */
  function denyExcess(rule: SourceRule, match: Match): boolean {
    const { line, text, cap } = rule
    const refusal = refusalOf(rule, table)
    if ('chain' in rule.target) visited.add(rule.target.chain)
    if (cap === undefined || refusal === undefined) {
      const message = `"${text}": a limit drops what exceeds it, and nothing else`
      notes.push({ line, kind: 'lost', message })
      return false
    }
    if (cap.near !== undefined) notes.push({ line, kind: 'changed', message: `"${text}": ${cap.near}` })
    if (refusal.rejects) {
      notes.push({
        line,
        kind: 'changed',
        message: `"${text}": what exceeds a limit is dropped, not refused`,
      })
    }
    const named = defined({ comment: rule.comment, remark: rule.remark })
    emit({
      line,
      text,
      ...named,
      action: 'drop',
      match,
      limits: cap.limits,
      log: refusal.logs,
      policy: false,
    })
    return false
  }

  /** Whether all packets of the match are decided by what follows in the caller. */
  function comeBack(
    rule: SourceRule,
    match: Match,
    rest: (match: Match) => void,
    after: (match: Match) => void,
  ): boolean {
    const outer = origin
    origin ??= rule
    const { cap } = rule
    const only = cap === undefined ? undefined : tryOne(() => after(match))
    if (cap !== undefined && only?.action === 'accept') {
      emit({ ...only, limits: { ...only.limits, ...cap.limits } })
      origin = outer
      return false
    }
    if (cap !== undefined) returnWithin(rule, cap.limits, match, rest)
    after(match)
    origin = outer
    return true
  }

  /** A limit that returns, before what denies the rest, is a limit that drops what exceeds it. */
  function returnWithin(rule: SourceRule, limits: Limits, match: Match, rest: (match: Match) => void): void {
    const { line, text } = rule
    const excess = tryOne(() => rest(match))
    if (excess === undefined || isPrelude(excess) || excess.action === 'accept') {
      const message = `"${text}": a limit stands on one rule; it returns without one`
      notes.push({ line, kind: 'lost', message })
      return
    }
    if (excess.action === 'reject') {
      notes.push({
        line,
        kind: 'changed',
        message: `"${text}": what exceeds a limit is dropped, not refused`,
      })
    }
    const named = defined({ comment: rule.comment, remark: rule.remark })
    emit({ line, text, ...named, action: 'drop', match, limits, log: false, policy: false })
  }

  /**
   * The match that is left of a rule with exceptions. Where one rule decides what follows for an excepted address,
   * that is written before; else the exception is written as all other addresses.
   */
  function applyExceptions(rule: SourceRule, match: Match, rest: (match: Match) => void): Match | undefined {
    let left: Match | undefined = match
    for (const key of ['from', 'to'] as const) {
      const excepted = rule.except[key]
      const inside =
        excepted === undefined || left === undefined ? undefined : intersect(left, { [key]: excepted })
      if (excepted === undefined || left === undefined || inside === undefined) continue
      const follows = tryOne(() => rest(inside))
      if (follows === undefined) left = intersect(left, { [key]: invertNetworks(excepted, family) })
      else emit(follows)
    }
    return left
  }

  /** The one step that something makes, if it is one only. */
  function tryOne(make: () => void): Step | undefined {
    const before = { steps, room, notes: notes.length }
    try {
      steps = []
      room = 1
      make()
      return steps[0]
    } catch (error) {
      if (!(error instanceof NotSimpleError)) throw error
      notes.length = before.notes
      return undefined
    } finally {
      steps = before.steps
      room = before.room
    }
  }
}

class TooManyRulesError extends Error {
  override readonly name = 'TooManyRulesError'
  readonly line: number
  constructor(line: number) {
    super('too many rules')
    this.line = line
  }
}

class NotSimpleError extends Error {
  override readonly name = 'NotSimpleError'
}
