import { clusterSetName } from '../netfilter/ipset-text.ts'
import type { Ipsets } from '../netfilter/ipsets.ts'
import type { ClusterFacts } from '../policy/policy.ts'
import { isExpected } from '../errors.ts'
import type { NodeFacts } from '../policy/policy.ts'
import { families, formatCidr, parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { clusterSets } from '../ruleset/built-in-sets.ts'

/**
 * What the agent of this node has read of the cluster, as far as the kernel holds it; sets that no rule uses are absent,
 * those that nobody has filled yet undefined.
 *
 * @throws {CommandError} when ipset(8) fails
 */
export async function readKernelSets(ipsets: Ipsets): Promise<ClusterFacts> {
  const saved = await ipsets.read()
  const found = clusterSets.flatMap((set) => {
    const ofSet = families.flatMap((family) => saved.get(clusterSetName(family, set)) ?? [])
    const members = ofSet.flatMap(({ elements = new Set<string>() }) => [...elements].flatMap(readEntry))
    if (ofSet.length === 0) return []
    // None is ever known to be empty: this one waits for its first members.
    const known = members.length === 0 ? undefined : members
    return [[set, known] as const]
  })
  return Object.fromEntries(found)
}

/** What somebody else has put there, as "10.0.0.5 nomatch" or "10.0.0.5,tcp:80", is no member; it goes with the next pass. */
function readEntry(entry: string): Cidr[] {
  try {
    return [parseCidr(entry)]
  } catch {
    return []
  }
}

/** The sets that are filled, each with those of its members that are among some addresses; none if they cannot be read. */
export async function readRemembered(
  ipsets: Ipsets,
  addresses: readonly Cidr[],
): Promise<NonNullable<NodeFacts['remembered']>> {
  try {
    const held = Object.entries(await readKernelSets(ipsets))
    const own = new Set(addresses.map(formatCidr))
    return Object.fromEntries(
      held.flatMap(([set, members]) =>
        members === undefined ? [] : [[set, members.filter((member) => own.has(formatCidr(member)))]],
      ),
    )
  } catch (error) {
    if (!isExpected(error)) throw error
    return {}
  }
}
