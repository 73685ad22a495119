import { setImmediate } from 'node:timers/promises'

/** Time that passes only when `run` says so, in steps of 10 ms; whatever is due runs in the order it was asked for. */
export type VirtualTime = {
  readonly now: () => number
  readonly at: (ms: number, callback: () => void) => void
  readonly wait: (ms: number, signal?: AbortSignal) => Promise<void>
  /** Lets time pass until `isDone`, looked at once a second, or until nothing is left to do by `untilMs`. */
  readonly run: (untilMs: number, isDone?: () => boolean) => Promise<void>
}

const stepMs = 10

export function createVirtualTime(): VirtualTime {
  let now = 0
  const due = new Map<number, (() => void)[]>()
  const heap = createHeap()
  const at = (ms: number, callback: () => void) => {
    const slot = Math.ceil(Math.max(ms, now + 1) / stepMs)
    const waiting = due.get(slot)
    if (waiting === undefined) {
      due.set(slot, [callback])
      heap.push(slot)
    } else waiting.push(callback)
  }
  return {
    now: () => now,
    at,
    wait: async (ms, signal) => {
      if (signal?.aborted) return
      await new Promise<void>((resolve) => {
        const end = () => {
          signal?.removeEventListener('abort', end)
          resolve()
        }
        at(now + ms, end)
        signal?.addEventListener('abort', end)
      })
    },
    async run(untilMs, isDone = () => false) {
      // What was started before has run as far as it gets.
      await setImmediate()
      for (let checkedAt = now; ;) {
        const slot = heap.pop()
        if (slot === undefined || slot * stepMs > untilMs) {
          if (slot !== undefined) heap.push(slot)
          now = untilMs
          return
        }
        now = slot * stepMs
        const callbacks = due.get(slot) ?? []
        due.delete(slot)
        for (const callback of callbacks) callback()
        // All promises that follow from it settle before the next step.
        await setImmediate()
        if (now - checkedAt < 1000) continue
        checkedAt = now
        if (isDone()) return
      }
    },
  }
}

/** The smallest number comes first. */
function createHeap() {
  const items: number[] = []
  const swap = (a: number, b: number) => {
    const [left = 0, right = 0] = [items[a], items[b]]
    items[a] = right
    items[b] = left
  }
  const value = (index: number) => items[index] ?? Infinity
  return {
    push(item: number) {
      items.push(item)
      for (let index = items.length - 1; index > 0;) {
        const parent = (index - 1) >> 1
        if (value(parent) <= value(index)) return
        swap(parent, index)
        index = parent
      }
    },
    pop(): number | undefined {
      const [first] = items
      const last = items.pop()
      if (first === undefined || last === undefined || items.length === 0) return first
      items[0] = last
      for (let index = 0; ;) {
        const [left, right] = [2 * index + 1, 2 * index + 2]
        const least = value(right) < value(left) ? right : left
        if (value(least) >= value(index)) return first
        swap(least, index)
        index = least
      }
    },
  }
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
