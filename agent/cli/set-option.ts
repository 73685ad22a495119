import { messageOf } from '../errors.ts'
import type { ClusterFacts } from '../policy/policy.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { clusterSets, isClusterSet } from '../ruleset/built-in-sets.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import { UsageError } from './usage-error.ts'

/**
 * Reads options such as `nodes=10.0.0.0/24,10.0.1.7`; of sets that none of them names nothing is known.
 *
 * @throws {UsageError} when one of them is none
 */
export function parseSets(texts: readonly string[]): ClusterFacts {
  const facts: Partial<Record<ClusterSet, readonly Cidr[]>> = {}
  for (const text of texts) {
    const [name = '', members = ''] = text.split('=')
    if (!isClusterSet(name) || members === '') {
      throw new UsageError(
        `--set: found ${text}, expected NAME=ADDRESS,... of one of ${clusterSets.join(', ')}`,
      )
    }
    facts[name] = [...(facts[name] ?? []), ...members.split(',').map((member) => parseMember(text, member))]
  }
  return facts
}

function parseMember(text: string, member: string): Cidr {
  const cidr = parse(text, member)
  if (cidr.prefix > 0) return cidr
  throw new UsageError(`--set ${text}: found ${member}, expected a network that does not hold every address`)
}

function parse(text: string, member: string): Cidr {
  try {
    return parseCidr(member)
  } catch (error) {
    throw new UsageError(`--set ${text}: found ${member}: ${messageOf(error)}`, { cause: error })
  }
}
