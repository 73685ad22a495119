import { isDeepStrictEqual } from 'node:util'
import { judgeOverrides } from '../confirm/break-glass.ts'
import type { Labels } from '../ruleset/select.ts'
import { parseProgress } from './progress.ts'
import type { Progress } from './progress.ts'

/** A node that runs an agent. */
export type Peer = {
  readonly name: string
  /** Whether its agent's pod is ready; that of a node which is not Ready never is. */
  readonly ready: boolean
}

/** What is read of a peer's Node. */
export type PeerNode = { readonly labels: Labels; readonly annotations: Readonly<Record<string, string>> }

/** Where a peer stands with a change. */
export type Standing =
  | Progress
  /** Its Node is no more. */
  | { readonly phase: 'gone' }
  /** Other rulesets select it: the change is none of its business. */
  | { readonly phase: 'other' }
  /** Somebody has overridden its rulesets (`node-firewall.io/mode`), so it takes up nothing. */
  | { readonly phase: 'overridden' }
  /** It has not taken up the change: its files have not come, or it cannot. */
  | { readonly phase: 'idle' }

export type Change = {
  readonly hash: string
  /** Whether the same rulesets select a node with these labels. */
  readonly selects: (labels: Labels) => boolean
}

const prefix = 'node-firewall.io/'
export const progressAnnotation = `${prefix}rollout`

/** Reads from its Node where a peer stands. */
export function standingOf(node: PeerNode | 'gone', { hash, selects }: Change): Standing {
  if (node === 'gone') return { phase: 'gone' }
  if (!selects(node.labels)) return { phase: 'other' }
  const { annotations } = node
  const progress = parseProgress(annotations[progressAnnotation], hash)
  const { override } = judgeOverrides([{ by: 'the annotation', value: annotations[`${prefix}mode`] }])
  const hasBegun = progress !== undefined && progress.phase !== 'waiting'
  if (override !== undefined && !hasBegun) return { phase: 'overridden' }
  if (progress !== undefined) return progress
  const state = annotations[`${prefix}state`]
  // It has had these rulesets in force since before anybody asked for a rollout.
  if (annotations[`${prefix}ruleset`] === hash && (state === 'Enforcing' || state === 'Auditing')) {
    return { phase: 'confirmed', early: false }
  }
  return state === 'Waiting' ? { phase: 'waiting' } : { phase: 'idle' }
}

/** What was read of a peer. Times are those of the reader's own clock, in ms. */
export type Seen = {
  readonly standing: Standing
  readonly at: number
  /** When it was first seen to stand there. */
  readonly since: number
}

/** Adds what was just read to what was known. */
export function see(last: Seen | undefined, standing: Standing, at: number): Seen {
  const since = last !== undefined && isDeepStrictEqual(last.standing, standing) ? last.since : at
  return { standing, at, since }
}

/** What does not change any more, and need not be read again. */
export function isFinal({ phase }: Standing): boolean {
  return phase === 'confirmed' || phase === 'other'
}
