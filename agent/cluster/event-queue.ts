/** Something that happened to the Node, for people to read. */
export type NodeEvent = {
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase. */
  readonly reason: string
  readonly message: string
}

/** An event that was not sent yet, and how often it happened meanwhile. */
export type Pending = {
  readonly event: NodeEvent
  /** ms since the epoch */
  readonly firstMs: number
  readonly lastMs: number
  readonly times: number
}

export type EventQueue = {
  add(event: NodeEvent, nowMs: number): void
  /** The oldest, which is then no longer in the queue. */
  take(): Pending | undefined
  /** It could not be sent: it is the next again, together with what has joined the queue since. */
  putBack(pending: Pending): void
  isEmpty(): boolean
}

/** Keeps the newest `size` events in order, equal ones as one. */
export function createEventQueue(size: number): EventQueue {
  let waiting: readonly Pending[] = []
  return {
    add(event, nowMs) {
      const again: Pending = { event, firstMs: nowMs, lastMs: nowMs, times: 1 }
      const at = waiting.findIndex((other) => keyOf(other.event) === keyOf(event))
      const merged = waiting.map((other, index) => (index === at ? merge(other, again) : other))
      waiting = at === -1 ? [...waiting, again].slice(-size) : merged
    },
    take() {
      const [first, ...rest] = waiting
      waiting = rest
      return first
    },
    putBack(pending) {
      const same = (other: Pending) => keyOf(other.event) === keyOf(pending.event)
      const newer = waiting.find(same)
      const others = waiting.filter((other) => !same(other))
      waiting = [newer === undefined ? pending : merge(pending, newer), ...others].slice(-size)
    },
    isEmpty: () => waiting.length === 0,
  }
}

/** Events with one key are repetitions of each other. */
export function keyOf({ type, reason, message }: NodeEvent): string {
  return [type, reason, message].join('\n')
}

function merge(older: Pending, newer: Pending): Pending {
  return { ...older, lastMs: newer.lastMs, times: older.times + newer.times }
}
