import type { VirtualFleet } from './virtual-fleet.ts'
import type { Edit, VirtualNode } from './virtual-node.ts'

type Check = (node: VirtualNode) => boolean

/** It is in force, and confirmed. */
export function hasIt({ hash }: Edit): Check {
  return (node) => node.inForce() === hash && node.state() === 'Enforcing'
}

/** It is not in force, and the node says why: it rolled it back itself, or another one did. */
export function hasStopped({ hash }: Edit): Check {
  return (node) => {
    const says = node.state() === 'RolledBack' || node.turn()?.kind === 'stopped'
    return says && node.inForce() !== hash
  }
}

/** Lets time pass until all nodes are done, for three hours at most. Returns the ms it took. */
export async function until({ time, nodes }: VirtualFleet, isDone: Check): Promise<number> {
  const start = time.now()
  await time.run(start + 3 * 3_600_000, () => [...nodes.values()].every(isDone))
  return time.now() - start
}
