import { look } from './look.ts'
import type { View } from './look.ts'
import { membersOf, stageOf } from './order.ts'
import { longestSurvey } from './timing.ts'

export type Step =
  /** This node has to be read (again) before anything can be said. */
  | { readonly kind: 'read'; readonly name: string }
  /** `reads`: of how many nodes all that look for the same thing read at a time; it sets how often they look. */
  | { readonly kind: 'wait'; readonly message: string; readonly reads: number }
  /** `relay`: it was learnt at first hand, and those after this node learn it from here. */
  | { readonly kind: 'stopped'; readonly by: string; readonly relay: boolean }
  /** Those before have confirmed. `pause`: it was seen at first hand, so the pause is this node's to make. */
  | { readonly kind: 'open'; readonly pause: boolean }
  /** None of those before tries it, or ever will: somebody has to be first. */
  | { readonly kind: 'first' }

/**
 * What a node does next, by what it has read of others so far.
 *
 * The first of a stage that counts is its witness: it reads the stage before, all of it. The others of the stage read
 * only the witness, and when that has confirmed the change itself, they know that all before have. So each node is read
 * by few, and yet nobody goes before a node it has read says `confirmed`.
 */
export function nextStep(view: View): Step {
  const stage = stageOf(view.order.positions.get(view.self) ?? 0, view.stages)
  if (stage === 0) return { kind: 'first' }
  const ahead = askWitness(view, stage)
  if (ahead !== undefined) return ahead
  for (let before = stage - 1; before >= 0; before -= 1) {
    const step = survey(view, before)
    if (step !== undefined) return step
  }
  return { kind: 'first' }
}

/** What the witness of the own stage says; undefined when there is none before this node, so that it is the witness. */
function askWitness(view: View, stage: number): Step | undefined {
  for (const name of membersOf(stage, view.order, view.stages)) {
    if (name === view.self) return undefined
    const seen = look(view, name)
    if (seen.kind === 'unread') return { kind: 'read', name }
    if (seen.kind === 'stopped') return { kind: 'stopped', by: seen.by, relay: false }
    if (seen.kind === 'block') return { kind: 'wait', message: seen.message, reads: view.order.names.length }
    // One that did not wait for its stage proves nothing of the stage before.
    if (seen.kind === 'confirmed' && !seen.early) return { kind: 'open', pause: false }
  }
  return undefined
}

/** Reads a whole stage; undefined when nobody in it counts. */
function survey(view: View, stage: number): Step | undefined {
  const members = membersOf(stage, view.order, view.stages)
  let confirmed = 0
  let blocked = 0
  let reason: { readonly message: string; readonly isTrying: boolean } | undefined
  for (const name of members) {
    const seen = look(view, name)
    if (seen.kind === 'unread') return { kind: 'read', name }
    if (seen.kind === 'stopped') return { kind: 'stopped', by: seen.by, relay: true }
    if (seen.kind === 'confirmed') confirmed += 1
    if (seen.kind !== 'block') continue
    blocked += 1
    reason ??= seen
    if (blocked >= longestSurvey) break
  }
  if (reason !== undefined) {
    // While a stage waits, the witnesses of all stages after it look at it or at each other.
    const witnesses = Math.ceil(view.order.names.length / Math.min(view.stages.size, view.order.names.length))
    const reads = reason.isTrying ? blocked : witnesses * blocked
    return { kind: 'wait', message: reason.message, reads: Math.min(reads, view.order.names.length) }
  }
  return confirmed > 0 ? { kind: 'open', pause: true } : undefined
}
