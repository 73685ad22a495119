import { backoffMs } from '../backoff.ts'
import { isExpected } from '../errors.ts'
import { createFleet, fleetOf } from './fleet.ts'
import type { GateOptions, Rollout, Turn } from './gate.ts'
import { judgeClaim } from './judge-claim.ts'
import type { View } from './look.ts'
import { nextStep } from './next-step.ts'
import type { Step } from './next-step.ts'
import { stageOf } from './order.ts'
import { see, standingOf } from './peer.ts'
import type { Peer, Seen } from './peer.ts'
import { stageSize } from './plan.ts'
import { formatProgress } from './progress.ts'
import {
  claimMs,
  intervalMs,
  jitter,
  patientMs,
  spacingMs,
  stoppedIntervalMs,
  voidClaimMs,
} from './timing.ts'

export type RunOptions = GateOptions & { readonly say: (text: string) => Promise<void> }

/** Looks at other nodes until the turn of this one has come, or `signal` aborts. */
export async function runRollout(rollout: Rollout, options: RunOptions, signal: AbortSignal): Promise<void> {
  const { clock } = options
  const round = createRounds(rollout, options, signal)
  for (let failures = 0; !signal.aborted;) {
    let waitMs: number | undefined
    try {
      waitMs = await round()
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      if (!isExpected(error)) throw error
      failures += 1
      const message = `the other nodes cannot be read, so nothing changes here: ${error.message}`
      tell(rollout, { kind: 'wait', message }, options.onChange)
      waitMs = backoffMs(failures, clock.random())
    }
    if (waitMs === undefined) return
    await clock.wait(waitMs, signal)
  }
}

function tell(rollout: Rollout, turn: Turn, onChange: () => void): void {
  const isNews = JSON.stringify(turn) !== JSON.stringify(rollout.turn)
  rollout.turn = turn
  if (isNews) onChange()
}

/** A round resolves to the ms until the next, or to nothing when this node may go. */
function createRounds(rollout: Rollout, options: RunOptions, signal: AbortSignal) {
  const { nodeName, clock, say, onChange } = options
  const { hash } = rollout
  const fleet = createFleet(options.fleetOf ?? fleetOf, hash)
  const seen = new Map<string, Seen>()
  let openSince: number | undefined
  let said: string | undefined
  let isIntroduced = false

  const go = () => tell(rollout, { kind: 'go' }, onChange)
  let waitsFor: { readonly message: string; readonly since: number } | undefined
  const wait = (message: string, ms: number) => {
    tell(rollout, { kind: 'wait', message: `${message} (ruleset ${hash})` }, onChange)
    if (waitsFor?.message !== message) waitsFor = { message, since: clock.now() }
    return jitter(patientMs(ms, clock.now() - waitsFor.since), clock.random())
  }

  const read = async (name: string, how: 'cached' | 'latest') => {
    const at = clock.now()
    const node = await options.readPeer(name, how, signal)
    const standing = standingOf(node, { hash, selects: rollout.settings.selects })
    seen.set(name, see(seen.get(name), standing, at))
    return standing
  }

  const viewOf = (peers: readonly Peer[], freshSince: number): View => {
    const { plan, bare } = rollout.settings
    // Whoever has begun counts, also when its agent is not listed any more.
    const begun = [...seen].flatMap(([name, { standing }]) => (hasBegun.has(standing.phase) ? [name] : []))
    const { order, isReady } = fleet(peers, [nodeName, ...begun])
    const size = stageSize(plan, order.names.length)
    const position = order.positions.get(nodeName) ?? 0
    // A node with nothing in force goes with the first after the canaries.
    rollout.early = bare && stageOf(position, { canaries: plan.canaries, size }) > 1
    const stages = { canaries: plan.canaries, size: rollout.early ? Infinity : size }
    return { self: nodeName, order, stages, isReady, seen, freshSince, now: clock.now() }
  }

  /** Reads until there is something to say. */
  const settle = async (
    judge: (view: View) => Step,
    how: 'cached' | 'latest',
    peers: readonly Peer[],
  ): Promise<Exclude<Step, { kind: 'read' }>> => {
    const since = clock.now()
    for (;;) {
      const step = judge(viewOf(peers, since))
      if (step.kind !== 'read') return step
      await read(step.name, how)
      await clock.wait(spacingMs, signal)
      signal.throwIfAborted()
    }
  }

  const judge = (view: View) => judgeClaim(view, rollout.settings.plan.canaries)

  /** What nodes do when none before them has begun: claim, and go if nobody else does. */
  const claim = async (peers: readonly Peer[]) => {
    const before = await settle(judge, 'latest', peers)
    if (before.kind !== 'first') return before
    const mark = Math.floor(clock.random() * 2 ** 32).toString(16)
    const startedAt = clock.now()
    await say(formatProgress(hash, { phase: 'claiming', claim: mark }))
    const listed = await options.listPeers(signal)
    if (!listed.some(({ name }) => name === nodeName)) {
      return { kind: 'wait', message: 'this node is not listed among the agents yet', reads: 1 } as const
    }
    const known = new Set(listed.map(({ name }) => name))
    const step = await settle(judge, 'latest', [...listed, ...peers.filter(({ name }) => !known.has(name))])
    if (step.kind !== 'first' || clock.now() - startedAt < claimMs) return { ...step, startedAt }
    return { kind: 'wait', message: 'the API server is too slow to become the first', reads: 1 } as const
  }

  const takeBack = async () => {
    said = undefined
    await say(formatProgress(hash, { phase: 'waiting' }))
  }

  const introduce = async (peers: readonly Peer[]): Promise<number | undefined> => {
    isIntroduced = true
    const standing = await read(nodeName, 'latest')
    if (standing.phase === 'trying' || standing.phase === 'confirmed') {
      // The agent was restarted in the middle: what it has begun it may go on with.
      rollout.early = standing.early
      go()
      return undefined
    }
    // It asks again, so what it or others have rolled back is no reason any more.
    if (standing.phase === 'rolled-back' || standing.phase === 'stopped') await takeBack()
    const { order, stages } = viewOf(peers, 0)
    const isCanary = stageOf(order.positions.get(nodeName) ?? 0, stages) === 0
    return isCanary ? 0 : clock.random() * (rollout.early ? intervalMs(0) : intervalMs(order.names.length))
  }

  return async (): Promise<number | undefined> => {
    const peers = options.peers()
    if (peers === undefined) return wait('the agents of other nodes are not known yet', 1000)
    if (!isIntroduced) {
      try {
        return await introduce(peers)
      } catch (error) {
        isIntroduced = false
        throw error
      }
    }
    const step = await settle(nextStep, 'cached', peers)
    const next = step.kind === 'first' ? await claim(peers) : step
    if (next.kind === 'stopped') {
      openSince = undefined
      const message = `ruleset ${hash} goes no further: ${next.by} rolled it back`
      tell(rollout, { kind: 'stopped', by: next.by, message }, onChange)
      const text = formatProgress(hash, { phase: 'stopped', by: next.by })
      if (next.relay && said !== text) {
        await say(text)
        said = text
      }
      return jitter(stoppedIntervalMs(peers.length), clock.random())
    }
    if (said !== undefined) await takeBack()
    if (next.kind === 'wait') {
      openSince = undefined
      return wait(next.message, intervalMs(next.reads))
    }
    // Whoever has nothing in force makes no pause: it protects rules that work, and here there are none.
    if (next.kind === 'open' && next.pause && !rollout.settings.bare) {
      openSince ??= clock.now()
      const leftMs = openSince + rollout.settings.plan.pauseMs - clock.now()
      if (leftMs > 0) {
        wait(`a pause of ${rollout.settings.plan.pauseMs / 1000} s after the nodes before have confirmed`, 0)
        return leftMs
      }
    }
    const { early } = rollout
    await say(formatProgress(hash, { phase: 'trying', early }))
    // By now others may have taken the claim for void.
    if ('startedAt' in next && clock.now() - next.startedAt >= voidClaimMs) return 0
    go()
    return undefined
  }
}

const hasBegun: ReadonlySet<string> = new Set(['claiming', 'trying', 'rolled-back'])
