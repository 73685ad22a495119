import { isPrelude } from './flat-rule.ts'
import type { FlatRule, Prelude, Step } from './flat-rule.ts'
import { intersect, keyOf } from './match.ts'
import type { Note } from './note.ts'

/**
 * Gives what only logs to the decision it stands before, and leaves out decisions that no packet reaches.
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
    const logs = pending.some((one) => keyOf(one.match) === key)
    notes.push(...pending.filter((one) => keyOf(one.match) !== key).map(explainHomeless))
    pending = []
    if (decided.has(key)) continue
    const limited = Object.keys(step.limits).length > 0
    if (!limited) decided.add(key)
    else if (step.action === 'accept' && !isDeniedAfter(step, steps.slice(index + 1))) {
      notes.push({ line: step.line, kind: 'changed', message: `"${step.text}": ${dropsExcess}` })
    }
    rules.push({ ...step, log: step.log || logs })
  }
  return { rules, notes: [...notes, ...pending.map(explainHomeless)] }
}

const dropsExcess = 'what exceeds the limit is dropped here; there it goes on to the rules after this one'

function explainHomeless({ line, text }: Prelude): Note {
  const message = `"${text}": only what a rule decides on can be logged, and the next rule decides on something else`
  return { line, kind: 'lost', message }
}

/** Whether the first decision on all that a rule matches, but for its limit, denies it. */
function isDeniedAfter(rule: FlatRule, later: readonly Step[]): boolean {
  const next = later
    .filter((step) => !isPrelude(step) && Object.keys(step.limits).length === 0)
    .find((step) => intersect(rule.match, step.match) !== undefined)
  const common = next === undefined ? undefined : intersect(rule.match, next.match)
  const covers = common !== undefined && keyOf(common) === keyOf(rule.match)
  return covers && (next?.action === 'drop' || next?.action === 'reject')
}
