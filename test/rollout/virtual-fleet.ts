import { createHash } from 'node:crypto'
import { fleetOf } from '../../agent/rollout/fleet.ts'
import type { Fleet } from '../../agent/rollout/fleet.ts'
import type { Peer } from '../../agent/rollout/peer.ts'
import type { Rollout, Ruleset } from '../../agent/ruleset/ruleset.ts'
import { rulesetWith } from '../policy/arbitrary.ts'
import { createVirtualCluster } from './virtual-cluster.ts'
import type { VirtualCluster } from './virtual-cluster.ts'
import { createVirtualNode } from './virtual-node.ts'
import type { Edit, VirtualNode } from './virtual-node.ts'
import { createRandom, createVirtualTime } from './virtual-time.ts'
import type { VirtualTime } from './virtual-time.ts'

export type VirtualFleet = {
  readonly time: VirtualTime
  readonly cluster: VirtualCluster
  readonly random: () => number
  readonly nodes: ReadonlyMap<string, VirtualNode>
  /** How many nodes ever had it in force. */
  readonly applied: (edit: Edit) => readonly string[]
  /** Kubelets bring it within 80 s, to each node at another time. */
  readonly edit: (edit: Edit) => void
  /** A new node, with nothing in force. */
  readonly join: (name: string) => void
  readonly remove: (name: string) => void
  /** The power is gone: the node falls silent in the middle of whatever it does. */
  readonly turnOff: (name: string) => void
  readonly turnOn: (name: string) => void
  /** The rulesets that were in force at first, with a rollout. */
  readonly oldWith: (rollout: Rollout) => Edit
}

const old: Edit = editOf('old', undefined)

export function editOf(name: string, rollout: Rollout | undefined, effect: Edit['effect'] = 'works'): Edit {
  const ruleset: Ruleset = { ...rulesetWith([]), ...(rollout === undefined ? {} : { rollout }) }
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12)
  return { hash, rulesets: [ruleset], effect }
}

/** So many nodes with an older ruleset in force, or nothing, all of which know each other. */
export async function startVirtualFleet(
  size: number,
  seed: number,
  start: Edit | null = old,
): Promise<VirtualFleet> {
  const random = createRandom(seed)
  const time = createVirtualTime()
  const cluster = createVirtualCluster(time, random)
  const nodes = new Map<string, VirtualNode>()
  const applied = new Map<string, Set<string>>()
  const world = { time, cluster, random, fleetOf: shareFleets(), applied }
  let current = start
  const add = (name: string, start: Edit | null) => {
    cluster.add(name)
    const node = createVirtualNode(name, {}, world, start ?? undefined)
    nodes.set(name, node)
    node.startAgent()
    return node
  }
  for (let index = 0; index < size; index += 1) add(`node-${index}`, start)
  await time.run(60_000)
  cluster.requests.clear()
  return {
    time,
    cluster,
    random,
    nodes,
    applied: ({ hash }) => [...(applied.get(hash) ?? [])],
    edit(edit) {
      current = edit
      for (const node of nodes.values()) {
        time.at(time.now() + 80_000 * random(), () => {
          if (current === edit) node.take(edit)
        })
      }
    },
    join(name) {
      const node = add(name, null)
      if (current !== null) node.take(current)
    },
    remove(name) {
      nodes.get(name)?.stopAgent()
      nodes.delete(name)
      cluster.remove(name)
    },
    oldWith: (rollout) => editOf('old', rollout),
    turnOff(name) {
      cluster.setCutOff(name, true)
      nodes.get(name)?.stopAgent()
    },
    turnOn(name) {
      cluster.setCutOff(name, false)
      nodes.get(name)?.startAgent()
    },
  }
}

/** All nodes that see the same list put it in the same order: the simulation works it out once. */
function shareFleets() {
  const known = new WeakMap<readonly Peer[], Map<string, Fleet>>()
  return (peers: readonly Peer[], hash: string): Fleet => {
    const byHash = known.get(peers) ?? new Map<string, Fleet>()
    known.set(peers, byHash)
    const fleet = byHash.get(hash) ?? fleetOf(peers, hash)
    byHash.set(hash, fleet)
    return fleet
  }
}
