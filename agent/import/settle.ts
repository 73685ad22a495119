import { intersect, keyOf } from './match.ts'
import type { FlatRule, Prelude, Step } from './flatten.ts'
import type { Note } from './note.ts'

/**
 * Gives what only logs and what only counts to the decision it stands before, and leaves out decisions that no
 * packet reaches.
 */
export function settleSteps(steps: readonly Step[]): { rules: FlatRule[]; notes: Note[] } {
  const notes: Note[] = []
  const rules: FlatRule[] = []
  const decided = new Set<string>()
  let pending: Prelude[] = []
  for (const [index, step] of steps.entries()) {
    if (isPrelude(step)) {
      pending.push(step)
      continue
    }
    const key = keyOf(step.match)
    const own = pending.filter((one) => keyOf(one.match) === key)
    const others = pending.filter((one) => keyOf(one.match) !== key)
    const caps = own.filter(({ action }) => action === 'cap')
    const homeless = step.action === 'accept' && caps.length <= 1 ? others : [...others, ...caps]
    notes.push(...homeless.map(explainHomeless))
    pending = []
    if (decided.has(key)) continue
    const limits = step.action === 'accept' ? { ...caps[0]?.limits, ...step.limits } : step.limits
    const limited = Object.keys(limits).length > 0
    if (Object.keys(step.limits).length > 0 && !isDeniedAfter(step, steps.slice(index + 1))) {
      notes.push({ line: step.line, kind: 'changed', message: `"${step.text}": ${dropsExcess}` })
    }
    if (!limited) decided.add(key)
    rules.push({ ...step, limits, log: step.log || own.some(({ action }) => action === 'log') })
  }
  return { rules, notes: [...notes, ...pending.map(explainHomeless)] }
}

const dropsExcess = 'what exceeds the limit is dropped here; there it goes on to the rules after this one'

function isPrelude(step: Step): step is Prelude {
  return step.action === 'log' || step.action === 'cap'
}

function explainHomeless({ action, line, text }: Prelude): Note {
  const message =
    action === 'log'
      ? `"${text}": what is logged is not what the next rule decides on, and only decisions are logged`
      : `"${text}": a limit stands on a rule that accepts, and the next rule for the same is none`
  return { line, kind: 'lost', message }
}

/** Whether the first decision on all that a rule matches, but for its limit, denies it. */
function isDeniedAfter(rule: FlatRule, later: readonly Step[]): boolean {
  const next = later.find((step) => !isPrelude(step) && intersect(rule.match, step.match) !== undefined)
  if (next === undefined) return false
  const common = intersect(rule.match, next.match)
  const covers = common !== undefined && keyOf(common) === keyOf(rule.match)
  return covers && (next.action === 'drop' || next.action === 'reject')
}
