import type { Policy } from '../policy/policy.ts'
import { formatCidr } from '../ruleset/address.ts'
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
  { clusterSets, unknownSets }: Pick<Policy, 'clusterSets' | 'unknownSets'>,
): SetRegister {
  const used = new Map<string, Ipset>()
  const register = (set: Ipset) => {
    used.set(set.name, set)
    return set.name
  }
  // Neighbours are not joined into one network: then a node more or less would not be one element more or less.
  const membersOf = (set: ClusterSet) => {
    const own = clusterSets[set].filter((cidr) => cidr.family === family)
    return [...new Map(own.map((cidr) => [formatCidr(cidr), cidr])).values()]
  }
  return {
    membersOf,
    ofCidrs: (cidrs) => register({ name: staticSetName(family, cidrs), family, cidrs }),
    ofCluster(set) {
      const isUnknown = unknownSets.has(set)
      const name = clusterSetName(family, set)
      return register({ name, family, cidrs: membersOf(set), ...(isUnknown ? { isUnknown } : {}) })
    },
    all: () => [...used.values()],
  }
}
