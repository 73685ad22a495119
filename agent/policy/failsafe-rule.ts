import { parseCidr } from '../ruleset/address.ts'
import { builtInSets, clusterSets } from '../ruleset/built-in-sets.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import type { Addresses, ClusterFacts, Match, NodeFacts, PolicyRule } from './policy.ts'

/** What failsafes follow from. */
export type FailsafeSources = {
  readonly facts: NodeFacts
  readonly cluster: ClusterFacts
  /** Whether the sets of the cluster are followed, so that those not read yet will be. */
  readonly follows: boolean
}

/** A rule that lets pass. The fact stands beside its name in the kernel, so it must not change without need. */
export function failsafe(name: string, match: Match, fact?: string): PolicyRule {
  return {
    kind: 'failsafe',
    name,
    ...(fact === undefined ? {} : { fact }),
    action: 'accept',
    match,
    log: false,
    audit: false,
  }
}

/** Sets for which private networks stand in until they are known. */
export const failsafeSets: readonly ClusterSet[] = ['nodes', 'apiServers']

/** Whether a set was read, or still stands in the kernel from before and will be. */
export function isKnown(set: ClusterSet, { facts, cluster, follows }: FailsafeSources): boolean {
  return cluster[set] !== undefined || (follows && facts.remembered?.[set] !== undefined)
}

/** Sets of the cluster that are known, or will be. */
export function namedSets(
  wanted: readonly ClusterSet[],
  { cluster, follows }: FailsafeSources,
): ClusterSet[] {
  return clusterSets.filter((set) => wanted.includes(set) && (cluster[set] !== undefined || follows))
}

/**
 * Members of the cluster. As long as not all of `needed` is known, private networks stand in for it.
 *
 * @param more sets that belong to them, but do not have to be known
 */
export function membersOrPrivate(
  needed: readonly ClusterSet[],
  more: readonly ClusterSet[],
  sources: FailsafeSources,
): { readonly addresses: Addresses; readonly caveat: string } {
  const sets = namedSets([...needed, ...more], sources)
  const unknown = needed.filter((set) => !isKnown(set, sources))
  if (unknown.length === 0) return { addresses: { cidrs: [], sets }, caveat: '' }
  return { addresses: withPrivate(sets), caveat: `; ${unknown.join(' and ')} not known` }
}

export function withPrivate(sets: readonly ClusterSet[]): Addresses {
  return { ...networks(...builtInSets.private), sets }
}

export function networks(...texts: readonly string[]): Addresses {
  return { cidrs: texts.map(parseCidr), sets: [] }
}

export function only(port: number) {
  return { first: port, last: port }
}
