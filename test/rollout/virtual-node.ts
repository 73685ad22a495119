import { createRolloutGate } from '../../agent/rollout/gate.ts'
import type { RolloutGate, Turn } from '../../agent/rollout/gate.ts'
import type { FleetOf } from '../../agent/rollout/fleet.ts'
import { planOf } from '../../agent/rollout/plan.ts'
import { progressAnnotation } from '../../agent/rollout/peer.ts'
import type { Labels } from '../../agent/ruleset/select.ts'
import type { Ruleset } from '../../agent/ruleset/ruleset.ts'
import type { VirtualCluster } from './virtual-cluster.ts'
import type { VirtualTime } from './virtual-time.ts'

/** A change as it comes to nodes. */
export type Edit = {
  readonly hash: string
  readonly rulesets: readonly Ruleset[]
  /** What becomes of a node that puts it in force. */
  readonly effect: Effect | ((name: string) => Effect)
}

export type Effect = 'works' | 'fails its probe' | 'cuts the node off'

export type World = {
  readonly time: VirtualTime
  readonly cluster: VirtualCluster
  readonly random: () => number
  readonly fleetOf: FleetOf
  /** Names of the nodes that ever had it in force, by hash. */
  readonly applied: Map<string, Set<string>>
}

/** A node: the kernel and the disk, which outlive its agent, and the agent with the real gate. */
export type VirtualNode = {
  readonly name: string
  /** What is in the kernel; undefined: nothing. */
  readonly inForce: () => string | undefined
  readonly turn: () => Turn | undefined
  readonly state: () => string
  /** The files have come. */
  readonly take: (edit: Edit) => void
  /** From now on they never come. */
  readonly stopTaking: () => void
  readonly stopAgent: () => void
  readonly startAgent: () => void
}

const deadlineMs = 60_000

export function createVirtualNode(name: string, labels: Labels, world: World, start?: Edit): VirtualNode {
  const { time, cluster, random, applied } = world
  const quarantined = new Set<string>()
  let edit = start
  let kernel = start?.hash
  let lastGood = start?.hash
  let trial: Edit | undefined
  let gate: RolloutGate | undefined
  let turn: Turn | undefined
  let state = start === undefined ? 'Off' : 'Enforcing'
  // The clock of this node began to count at some time of its own, and goes at a pace of its own.
  const [skewMs, pace] = [1e9 * random(), 0.99 + 0.02 * random()]
  let lifetime = 0
  let takes = true

  const report = async () => {
    const [life, value] = [lifetime, state]
    const isNews = () => life === lifetime && value === state
    while (isNews()) {
      try {
        const annotations = { 'node-firewall.io/state': state, 'node-firewall.io/ruleset': kernel ?? 'none' }
        return await cluster.patch(name, annotations)
      } catch {
        await time.wait(2000 + 2000 * random())
      }
    }
  }
  const become = (next: string) => {
    if (next === state) return
    state = next
    void report()
  }
  const effectOf = ({ effect }: Edit) => (typeof effect === 'string' ? effect : effect(name))
  const pass = () => {
    if (gate === undefined || trial !== undefined || edit === undefined) return
    if (kernel === edit.hash || quarantined.has(edit.hash)) {
      const isInForce = kernel === edit.hash
      if (planOf(edit.rulesets) !== undefined) {
        gate.settled(edit.hash, isInForce ? 'confirmed' : 'rolled-back')
      }
      return become(isInForce ? 'Enforcing' : 'RolledBack')
    }
    const { hash, rulesets } = edit
    turn = gate.ask({ hash, rulesets, labels, bare: kernel === undefined })
    if (turn.kind !== 'go') return become('Waiting')
    kernel = hash
    const by = applied.get(hash) ?? new Set()
    applied.set(hash, by.add(name))
    trial = edit
    if (effectOf(edit) === 'cuts the node off') cluster.setCutOff(name, true)
    become('Confirming')
    void confirm(edit)
  }
  /** Works within 5 to 15 s if it works; else it is rolled back at the deadline. */
  const confirm = async (tried: Edit) => {
    const life = lifetime
    const end = time.now() + deadlineMs
    await time.wait(5000 + 10_000 * random())
    const works = () => effectOf(tried) === 'works' && !cluster.isAway()
    const isOpen = () => life === lifetime && !works() && time.now() < end
    while (isOpen()) await time.wait(1000)
    if (life !== lifetime) return
    trial = undefined
    if (works()) {
      lastGood = tried.hash
      gate?.settled(tried.hash, 'confirmed')
    } else {
      kernel = lastGood
      quarantined.add(tried.hash)
      cluster.setCutOff(name, false)
      gate?.settled(tried.hash, 'rolled-back')
    }
    become(kernel === edit?.hash ? 'Enforcing' : 'RolledBack')
    pass()
  }

  const node: VirtualNode = {
    name,
    inForce: () => kernel,
    turn: () => turn,
    state: () => state,
    stopTaking: () => void (takes = false),
    take(next) {
      if (!takes) return
      edit = next
      pass()
    },
    stopAgent() {
      if (gate === undefined) return
      lifetime += 1
      void gate.stop()
      gate = undefined
      cluster.setReady(name, false)
    },
    startAgent() {
      if (gate !== undefined) return
      lifetime += 1
      gate = createRolloutGate({
        nodeName: name,
        peers: () => (cluster.has(name) ? cluster.known(name) : undefined),
        listPeers: async () => cluster.list(name),
        readPeer: async (of, how) => cluster.read(name, of, how),
        write: async (text) => cluster.patch(name, { [progressAnnotation]: text }),
        clock: { now: () => skewMs + pace * time.now(), random, wait: time.wait },
        onChange: pass,
        fleetOf: world.fleetOf,
      })
      cluster.setReady(name, true)
      if (trial !== undefined) void confirm(trial)
      else pass()
      void report()
    },
  }
  return node
}
