import type { OwnNode } from '../cluster/own-node.ts'
import { realClock } from '../cluster/clock.ts'
import type { Clock } from '../cluster/clock.ts'
import type { Peers } from '../cluster/peers.ts'
import type { TrialEffects } from '../confirm/trials.ts'
import { createRolloutGate } from '../rollout/gate.ts'
import { planOf } from '../rollout/plan.ts'
import { progressAnnotation } from '../rollout/peer.ts'
import { selectRulesets } from '../ruleset/select.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Stop } from './watches.ts'

export type RolloutOptions = {
  readonly nodeName: string
  readonly node: OwnNode
  readonly peers: Peers
  readonly log: Logger
  readonly onChange: () => void
  readonly clock?: Clock
}

/** The gate counts on a write that is given up before 20 s are over. */
const writeMs = 15_000

export type Rollouts = Pick<TrialEffects, 'turnOf' | 'onOutcome'> & { readonly stop: Stop }

/** Where every node goes at once: there are no others. */
export const noRollouts: Rollouts = {
  turnOf: () => ({ kind: 'go' }),
  onOutcome: () => {},
  stop: async () => {},
}

/** Lets changes cross the fleet in steps, where rulesets ask for it. Others cost nothing. */
export function createRollouts(options: RolloutOptions): Rollouts {
  const { nodeName, node, peers, log, onChange, clock = realClock } = options
  const ended = new AbortController()
  let watching: Promise<void> | undefined
  const gate = createRolloutGate({
    nodeName,
    peers: peers.known,
    listPeers: peers.list,
    readPeer: peers.read,
    async write(text, signal) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(writeMs)])
      await node.patchAnnotations({ [progressAnnotation]: text }, limit)
    },
    clock,
    onChange,
  })
  const hasPlan = ({ parsed, labels }: Parameters<Rollouts['turnOf']>[0]) =>
    planOf(selectRulesets(parsed.rulesets, labels).rulesets) !== undefined
  const onError = (error: unknown) =>
    log.warn({ err: error }, 'reading the other nodes failed; it is tried again')
  return {
    turnOf(change, bare) {
      if (hasPlan(change)) watching ??= peers.watch(onError, ended.signal)
      const { hash, parsed, labels } = change
      return gate.ask({ hash, rulesets: parsed.rulesets, labels, bare })
    },
    onOutcome(change, outcome) {
      if (hasPlan(change)) gate.settled(change.hash, outcome)
      else gate.leave()
    },
    async stop() {
      ended.abort()
      await Promise.all([gate.stop(), watching])
    },
  }
}
