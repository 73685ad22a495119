import type { Order, Stages } from './order.ts'
import { isFinal } from './peer.ts'
import type { Seen } from './peer.ts'
import { busyPatienceMs, idlePatienceMs, voidClaimMs } from './timing.ts'

/** What a node knows of the fleet while it decides whether its turn has come. Times are of its own clock, in ms. */
export type View = {
  readonly self: string
  readonly order: Order
  readonly stages: Stages
  readonly isReady: (name: string) => boolean
  readonly seen: ReadonlyMap<string, Seen>
  /** What was read before this has to be read again, unless it cannot change. */
  readonly freshSince: number
  readonly now: number
}

export type Look =
  | { readonly kind: 'unread' }
  /** It does not count: nobody waits for it, and it proves nothing. */
  | { readonly kind: 'pass' }
  | { readonly kind: 'confirmed'; readonly early: boolean }
  | { readonly kind: 'stopped'; readonly by: string }
  | { readonly kind: 'block'; readonly message: string; readonly isTrying: boolean }

/**
 * What one peer means to those that come after it. One that is not ready, gone, or overridden does not block; one that
 * is ready and does nothing blocks for a while only. But one that has begun is waited for, ready or not: rules that cut
 * a node off make it not ready before they are rolled back.
 */
export function look(view: View, name: string): Look {
  const seen = view.seen.get(name)
  if (seen === undefined || (!isFinal(seen.standing) && seen.at < view.freshSince)) return { kind: 'unread' }
  const { standing } = seen
  const blocks = (forMs: number, message: string, isTrying = false): Look =>
    view.now - seen.since < forMs
      ? { kind: 'block', message: `${name} ${message}`, isTrying }
      : { kind: 'pass' }
  switch (standing.phase) {
    case 'gone':
    case 'other':
    case 'overridden':
      return { kind: 'pass' }
    case 'confirmed':
      return { kind: 'confirmed', early: standing.early }
    case 'rolled-back':
      return { kind: 'stopped', by: name }
    case 'stopped':
      return { kind: 'stopped', by: standing.by }
    case 'trying':
      return blocks(busyPatienceMs, tries(view.isReady(name)), true)
    case 'claiming':
      return blocks(voidClaimMs, 'is about to try it', true)
    case 'idle':
      return view.isReady(name) ? blocks(idlePatienceMs, 'has not taken it up yet') : { kind: 'pass' }
    case 'waiting':
      return view.isReady(name) ? blocks(busyPatienceMs, 'waits for its turn too') : { kind: 'pass' }
  }
}

/** What a message says of a node that has begun. */
export function tries(isReady: boolean): string {
  return isReady ? 'tries it' : 'has not been ready since it began to try it'
}
