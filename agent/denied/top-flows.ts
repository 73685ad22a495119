import type { LogVerdict } from '../netfilter/log-text.ts'
import type { Logged } from './logged.ts'

/** A flow that is denied, or would be, and how often it was seen of late. */
export type DeniedFlow = {
  readonly verdict: LogVerdict
  /** As people meet it: `worker/ssh`. */
  readonly rule: string
  readonly protocol: string
  readonly from: string
  readonly to: string
  readonly port?: number
  /** At least so many packets; the kernel logs 10 a second of a rule, and no more count here. */
  readonly packets: number
  /** RFC 3339 */
  readonly last: string
}

/** Which flows are denied most. */
export type TopFlows = {
  readonly since: string
  /** Of all flows. */
  readonly packets: number
  readonly flows: readonly DeniedFlow[]
}

export type FlowCounter = {
  see(logged: Logged): void
  /** So many flows, those of most packets first. */
  top(most: number): TopFlows
}

/** Old news goes after one to two of these, in ms. */
export const periodMs = 3_600_000

/**
 * Flows that are counted at a time. When another one comes, the one of fewest packets makes room for it and hands on its
 * count as a possible error (Metwally et al., Efficient Computation of Frequent and Top-k Elements in Data Streams,
 * 2005): who invents senders cannot push out who sends more than one in so many packets.
 */
const mostCounted = 128

type Counted = {
  readonly flow: Omit<DeniedFlow, 'packets' | 'last'>
  count: number
  error: number
  last: number
}
type Period = { readonly start: number; packets: number; readonly counted: Map<string, Counted> }

/** Counts what is denied, and passes over what is accepted. `now` is in ms since the epoch. */
export function createFlowCounter(now: () => number): FlowCounter {
  let periods: readonly [Period, ...Period[]] = [startPeriod(now())]
  const turn = () => {
    const at = now()
    const [current] = periods
    // The clock may be set back, too.
    const age = Math.abs(at - current.start)
    if (age >= periodMs) periods = age >= 2 * periodMs ? [startPeriod(at)] : [startPeriod(at), current]
    return at
  }
  return {
    see(logged) {
      const flow = flowOf(logged)
      if (flow === undefined) return
      const at = turn()
      const [current] = periods
      current.packets += 1
      count(current.counted, flow, at)
    },
    top(most) {
      turn()
      const oldest = periods.at(-1) ?? periods[0]
      return {
        since: new Date(oldest.start).toISOString(),
        packets: periods.reduce((sum, { packets }) => sum + packets, 0),
        flows: merge(periods)
          .toSorted((a, b) => b.packets - a.packets || (a.last < b.last ? 1 : -1))
          .slice(0, most),
      }
    },
  }
}

function startPeriod(start: number): Period {
  return { start, packets: 0, counted: new Map() }
}

function flowOf({ verdict, ruleset, rule, protocol, from, to, port }: Logged): Counted['flow'] | undefined {
  if (verdict === 'accept' || protocol === undefined || from === undefined || to === undefined)
    return undefined
  const name = ruleset === undefined ? rule : `${ruleset}/${rule}`
  return { verdict, rule: name, protocol, from, to, ...(port === undefined ? {} : { port }) }
}

function count(counted: Map<string, Counted>, flow: Counted['flow'], at: number): void {
  const key = JSON.stringify(Object.values(flow))
  const known = counted.get(key)
  if (known !== undefined) {
    known.count += 1
    known.last = at
    return
  }
  let error = 0
  if (counted.size >= mostCounted) {
    const [leastKey, least] = [...counted].reduce((a, b) => (b[1].count < a[1].count ? b : a))
    counted.delete(leastKey)
    error = least.count
  }
  counted.set(key, { flow, count: error + 1, error, last: at })
}

function merge(periods: readonly Period[]): DeniedFlow[] {
  const merged = new Map<string, DeniedFlow>()
  for (const { counted } of periods) {
    for (const [key, { flow, count: all, error, last }] of counted) {
      const known = merged.get(key)
      const at = new Date(last).toISOString()
      merged.set(key, {
        ...flow,
        packets: all - error + (known?.packets ?? 0),
        last: known === undefined || known.last < at ? at : known.last,
      })
    }
  }
  return [...merged.values()]
}
