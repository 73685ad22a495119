import { look, tries } from './look.ts'
import type { View } from './look.ts'
import type { Step } from './next-step.ts'
import { substitutes } from './timing.ts'

/**
 * Whether this node may be among the first to try a change, of which there may be `canaries`.
 *
 * Only the first few that the change selects may, so that each of them can read all others. Two that do not see each
 * other as ready may both think so. Therefore each writes a claim before it reads the others: of any two, the one whose
 * claim came later sees that of the other (the API server puts writes in one order, and these reads are not from its
 * cache). One that sees too many claims lets its own lapse. A node that may have the change in force counts for as long
 * as its Node is there.
 */
export function judgeClaim(view: View, canaries: number): Step {
  const candidates = candidatesOf(view, canaries + substitutes)
  if (!Array.isArray(candidates)) return candidates
  if (!candidates.includes(view.self)) {
    return { kind: 'wait', message: `none of the first ${candidates.length} nodes is ready`, reads: 1 }
  }
  const others = candidates.filter((name) => name !== view.self)
  const looks = others.map((name) => [name, look(view, name)] as const)
  for (const [name, { kind }] of looks) {
    if (kind === 'unread') return { kind: 'read', name }
  }
  const inPhase = (wanted: string) => others.filter((name) => view.seen.get(name)?.standing.phase === wanted)
  // What others have only heard of is not asked: they may have heard it from one another.
  const [by] = inPhase('rolled-back')
  if (by !== undefined) return { kind: 'stopped', by, relay: true }
  if (inPhase('confirmed').length > 0) return { kind: 'open', pause: false }

  const trying = inPhase('trying')
  const [holder] = trying
  if (holder !== undefined && trying.length >= canaries) {
    return { kind: 'wait', message: `${holder} ${tries(view.isReady(holder))}`, reads: trying.length }
  }
  const [rival, ...rivals] = inPhase('claiming').filter((name) => look(view, name).kind === 'block')
  if (rival === undefined || trying.length + 1 + rivals.length < canaries) return { kind: 'first' }
  return { kind: 'wait', message: `${rival} is about to try it`, reads: 1 }
}

/** The first so many nodes that the change selects. */
function candidatesOf(view: View, count: number): string[] | Step {
  const candidates: string[] = []
  for (const name of view.order.names) {
    if (candidates.length >= count) break
    const seen = view.seen.get(name)
    const isSelected = name === view.self || (seen !== undefined && seen.standing.phase !== 'other')
    if (seen === undefined && name !== view.self) return { kind: 'read', name }
    if (isSelected) candidates.push(name)
  }
  return candidates
}
