import type { Window } from './window.ts'

type IsCounted = (what: string) => boolean

const all: IsCounted = () => true

/** How many of each kind there were, the most frequent first. */
export function countByKind({ requests }: Window): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>()
  for (const { what } of requests) counts.set(what, (counts.get(what) ?? 0) + 1)
  return [...counts].toSorted(([, a], [, b]) => b - a)
}

/** Requests a second of all agents together. */
export function perSecond({ requests, seconds }: Window, isCounted: IsCounted = all): number {
  return requests.filter(({ what }) => isCounted(what)).length / seconds
}

/** Requests a second of one agent. */
export function rateOf(window: Window, isCounted: IsCounted = all): number {
  return perSecond(window, isCounted) / window.agents
}

export function bytesPerSecond({ bytes, seconds }: Window): number {
  return bytes / seconds
}

/**
 * Requests in the busiest second of a cluster with so many agents, made of copies of those that were seen. In a steady
 * state each copy is shifted by minutes: agents have nothing to do with each other then, but what is bound to a second
 * of the minute stays where it is. After something that concerns all at once nothing is shifted (`shiftSeconds` is 0).
 */
export function worstSecond(
  { requests, seconds, agents }: Window,
  wanted: number,
  shiftSeconds = 60,
): number {
  const length = Math.max(1, Math.ceil(seconds))
  const seen = Array.from({ length }, () => 0)
  for (const { at } of requests) {
    const second = Math.min(length - 1, Math.max(0, Math.floor(at)))
    seen[second] = (seen[second] ?? 0) + 1
  }
  const copies = wanted / agents
  if (shiftSeconds === 0) return Math.max(...seen) * copies
  const sum = Array.from({ length }, () => 0)
  for (let copy = 0; copy < copies; copy += 1) {
    for (let second = 0; second < length; second += 1) {
      const to = (second + copy * shiftSeconds) % length
      sum[to] = (sum[to] ?? 0) + (seen[second] ?? 0)
    }
  }
  return Math.max(...sum)
}

/** How much of what was seen falls into the busiest of so many equal parts of a period, in s; 1 is all of it. */
export function busiestShare(
  { requests }: Window,
  periodSeconds: number,
  parts: number,
  isCounted: IsCounted = all,
): number {
  const counted = requests.filter(({ what }) => isCounted(what))
  const counts = Array.from({ length: parts }, () => 0)
  for (const { at } of counted) {
    const part = Math.floor(((at % periodSeconds) / periodSeconds) * parts)
    counts[part] = (counts[part] ?? 0) + 1
  }
  return Math.max(...counts) / counted.length
}
