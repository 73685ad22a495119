import { needsLabels, selectRulesets } from '../ruleset/select.ts'
import type { Labels } from '../ruleset/select.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { FleetOf } from './fleet.ts'
import type { Peer, PeerNode } from './peer.ts'
import { planOf } from './plan.ts'
import type { Plan } from './plan.ts'
import { formatProgress } from './progress.ts'
import { runRollout } from './run-rollout.ts'
import { createWriter } from './writer.ts'

/** Whether a node may put a change in force now. */
export type Turn =
  | { readonly kind: 'go' }
  | { readonly kind: 'wait'; readonly message: string }
  /** `by` rolled it back. It is no end: when that node no longer says so, the rollout goes on. */
  | { readonly kind: 'stopped'; readonly by: string; readonly message: string }

export type AskedChange = {
  /** Of the rulesets that select this node (hashRulesets). */
  readonly hash: string
  /** All rulesets, also those for other nodes. */
  readonly rulesets: readonly Ruleset[]
  /** Those of the own Node. */
  readonly labels: Labels
  /** Whether this node has nothing in force that it could stay with. */
  readonly bare: boolean
}

/** Time and chance. `now` is monotonic, in ms: it is compared with nothing but itself. */
export type RolloutClock = {
  readonly now: () => number
  readonly random: () => number
  /** Resolves after `ms`, or at once when `signal` aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** What a rollout does to the outside; each rejects with an OutsideError. */
export type GateOptions = {
  readonly nodeName: string
  /** All nodes that run an agent, or did a moment ago; undefined while that is not known. */
  readonly peers: () => readonly Peer[] | undefined
  /** The same, as of now, and not from a cache. */
  readonly listPeers: (signal: AbortSignal) => Promise<readonly Peer[]>
  /** `cached` may be a moment old. */
  readonly readPeer: (
    name: string,
    how: 'cached' | 'latest',
    signal: AbortSignal,
  ) => Promise<PeerNode | 'gone'>
  /** Writes the annotation `node-firewall.io/rollout` of the own Node. Must give up within 20 s. */
  readonly write: (text: string, signal: AbortSignal) => Promise<void>
  readonly clock: RolloutClock
  /** The answer to the last question is another one now. */
  readonly onChange: () => void
  readonly fleetOf?: FleetOf
}

export type RolloutGate = {
  /** Says what is known now, and begins to find out more. A `go` stays one until another change is asked for. */
  readonly ask: (change: AskedChange) => Turn
  /**
   * Tells the others how a change ended on this node: the one in force, confirmed, or the one that is quarantined. To
   * be called in each pass, since an agent may end before it was written; the same again costs nothing. For rulesets
   * with a `rollout`.
   */
  readonly settled: (hash: string, outcome: 'confirmed' | 'rolled-back') => void
  /** The same for rulesets without a `rollout`: what was asked for before them is over. */
  readonly leave: () => void
  readonly stop: () => Promise<void>
}

export type Settings = {
  readonly plan: Plan
  readonly selects: (labels: Labels) => boolean
  readonly bare: boolean
}

/** One change on its way; `settings` are those of the last question. */
export type Rollout = {
  readonly hash: string
  settings: Settings
  turn: Turn
  early: boolean
}

/** Says when the turn of this node has come, change by change. See docs/adr/0009-rollout.md. */
export function createRolloutGate(options: GateOptions): RolloutGate {
  const ended = new AbortController()
  const writer = createWriter({ ...options, signal: ended.signal })
  let current: (Rollout & { readonly abort: () => void }) | undefined
  let running: Promise<unknown> = Promise.resolve()

  const start = (hash: string, settings: Settings) => {
    const controller = new AbortController()
    const turn = { kind: 'wait', message: 'looking at the other nodes' } as const
    const rollout = { hash, settings, turn, early: false, abort: () => controller.abort() }
    const signal = AbortSignal.any([controller.signal, ended.signal])
    running = Promise.all([running, runRollout(rollout, { ...options, say: writer.say }, signal)])
    return rollout
  }
  const end = () => {
    current?.abort()
    current = undefined
  }
  return {
    ask({ hash, rulesets, labels, bare }) {
      const selected = selectRulesets(rulesets, labels).rulesets
      const plan = planOf(selected)
      if (plan === undefined || current?.hash !== hash) end()
      if (plan === undefined) return { kind: 'go' }
      const settings = { plan, selects: sameAs(rulesets, selected), bare }
      if (current === undefined) current = start(hash, settings)
      else current.settings = settings
      return current.turn
    },
    settled(hash, phase) {
      // Else a change that was taken back would be claimed in time, and be in force at once when it comes again.
      if (current?.hash !== hash) end()
      const early = current?.early ?? false
      writer.insist(formatProgress(hash, phase === 'confirmed' ? { phase, early } : { phase }))
    },
    leave() {
      if (current === undefined) return
      writer.insist(formatProgress(current.hash, { phase: 'waiting' }))
      end()
    },
    async stop() {
      ended.abort()
      await running
    },
  }
}

/** Whether the same rulesets select another node. */
function sameAs(rulesets: readonly Ruleset[], selected: readonly Ruleset[]): Settings['selects'] {
  if (!needsLabels(rulesets)) return () => true
  const own = namesOf(selected)
  return (labels) => namesOf(selectRulesets(rulesets, labels).rulesets) === own
}

function namesOf(rulesets: readonly Ruleset[]): string {
  return rulesets.map(({ name }) => name).join(' ')
}
