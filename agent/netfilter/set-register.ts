import type { Cidr, Family } from '../ruleset/address.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import { clusterSetName, staticSetName } from './ipset-text.ts'
import type { Ipset } from './ipset-text.ts'

/** Collects the kernel sets that the rules of one family name. */
export type SetRegister = {
  /** The name of the set that holds just these networks. */
  ofCidrs(cidrs: readonly Cidr[]): string
  /** The name of a set of the cluster. */
  ofCluster(set: ClusterSet): string
  /** What a set of the cluster holds now, of this family. */
  membersOf(set: ClusterSet): readonly Cidr[]
  /** Every set that was asked for. */
  all(): readonly Ipset[]
}

export function createSetRegister(
  family: Family,
  clusterSets: Readonly<Record<ClusterSet, readonly Cidr[]>>,
): SetRegister {
  const used = new Map<string, Ipset>()
  const register = (name: string, cidrs: readonly Cidr[]) => {
    used.set(name, { name, family, cidrs })
    return name
  }
  const membersOf = (set: ClusterSet) => clusterSets[set].filter((cidr) => cidr.family === family)
  return {
    membersOf,
    ofCidrs: (cidrs) => register(staticSetName(family, cidrs), cidrs),
    ofCluster: (set) => register(clusterSetName(family, set), membersOf(set)),
    all: () => [...used.values()],
  }
}
