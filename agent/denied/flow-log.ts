import type { Logged } from './logged.ts'

/** What has no line of its own. */
export type Untold = {
  /** Packets of flows that had a line less than a minute before. */
  readonly repeated: number
  /** Packets for whose lines there was no budget. */
  readonly leftOut: number
  /** Packets that the kernel did not log, as those of their rule were too many a second. */
  readonly overLimit: number
  /** Packets that the kernel had logged and the reader did not get. */
  readonly lost: number
}

/** A line of the log. `packets`: so many of the same flow came since its line before. */
export type FlowLine = Logged & { readonly packets?: number }

export type FlowLog = {
  /** The line that a packet is worth, if any. */
  see(logged: Logged): FlowLine | undefined
  /** Adds packets that did not come here. */
  miss(why: 'overLimit' | 'lost', packets: number): void
  /** Counts since it was asked for before; nothing if all had lines. */
  takeUntold(): Untold | undefined
}

/** A flow has one line in so many ms, however many packets it has. */
export const repeatMs = 60_000

/** So many lines at once, and each is given back after a while. */
export const lineBudget = { lines: 100, refillMs: 100 }

/** Flows that are remembered: the oldest is forgotten first, and would have a line too many. */
const mostFlows = 2_000

const nothing: Untold = { repeated: 0, leftOut: 0, overLimit: 0, lost: 0 }

/** Decides which of the packets that rules log get a line. `now` is in ms, of a clock that nobody can set. */
export function createFlowLog(now: () => number): FlowLog {
  /** In order of their lines. */
  const flows = new Map<string, { readonly lineAt: number; packets: number }>()
  let untold = nothing
  let budget: number = lineBudget.lines
  let budgetAt = now()

  const mayWrite = (at: number) => {
    budget = Math.min(lineBudget.lines, budget + (at - budgetAt) / lineBudget.refillMs)
    budgetAt = at
    if (budget < 1) return false
    budget -= 1
    return true
  }
  return {
    see(logged) {
      const at = now()
      const key = keyOf(logged)
      const known = flows.get(key)
      if (known !== undefined && at - known.lineAt < repeatMs) {
        known.packets += 1
        untold = { ...untold, repeated: untold.repeated + 1 }
        return undefined
      }
      if (!mayWrite(at)) {
        untold = { ...untold, leftOut: untold.leftOut + 1 }
        return undefined
      }
      flows.delete(key)
      flows.set(key, { lineAt: at, packets: 0 })
      const [oldest] = flows.keys()
      if (flows.size > mostFlows && oldest !== undefined) flows.delete(oldest)
      return known === undefined ? logged : { ...logged, packets: known.packets + 1 }
    },
    miss(why, packets) {
      untold = { ...untold, [why]: untold[why] + packets }
    },
    takeUntold() {
      const taken = untold
      untold = nothing
      return Object.values(taken).every((packets) => packets === 0) ? undefined : taken
    },
  }
}

/** The ports that clients choose tell no flows apart. */
function keyOf(logged: Logged): string {
  const { verdict, ruleset, rule, protocol, from, to, port, translated, icmp } = logged
  const way = [logged.in, logged.out]
  return JSON.stringify([verdict, ruleset, rule, protocol, from, to, port, translated, icmp, ...way])
}
