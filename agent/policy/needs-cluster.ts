import { clusterSets } from '../ruleset/built-in-sets.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import type { NarrowedFailsafe } from '../ruleset/failsafe.ts'
import type { AddressSource, Ruleset } from '../ruleset/ruleset.ts'
import type { ClusterFacts } from './policy.ts'

/**
 * Whether rulesets look at sets of the cluster at all: reading them for nothing would cost the API server. Failsafes
 * do, where what they let pass is closed.
 */
export function needsCluster(rulesets: readonly Ruleset[]): boolean {
  return usedClusterSets(rulesets).length > 0 || rulesets.some(closesNode)
}

/** Whether the sets of the cluster are read, so that those not known yet will be. */
export function followsCluster(rulesets: readonly Ruleset[], cluster: ClusterFacts): boolean {
  return 'nodes' in cluster && 'apiServers' in cluster && needsCluster(rulesets)
}

/** The sets of the cluster that any rule names, or any failsafe is narrowed to. */
export function usedClusterSets(rulesets: readonly Ruleset[]): ClusterSet[] {
  const sources = rulesets.flatMap(({ rules, failsafe }) =>
    [...rules, ...narrowedOf(failsafe)].flatMap(({ from = [], to = [] }) => [...from, ...to]),
  )
  const names = new Set(sources.flatMap((source) => ('set' in source ? [source.set] : [])))
  return clusterSets.filter((set) => names.has(set))
}

function narrowedOf(failsafe: Ruleset['failsafe']): NarrowedFailsafe[] {
  return Object.values(failsafe).filter((setting) => setting !== 'off')
}

/** Whether a ruleset can deny the node what no rule names: by a default, by a rule for all ports and everybody. */
function closesNode({ defaults, rules }: Ruleset): boolean {
  const closed = [defaults.ingress, defaults.egress].some(
    (action) => action === 'drop' || action === 'reject',
  )
  return (
    closed ||
    rules.some(({ flow, action, audit, from, to, ports }) => {
      if (action === 'accept' || audit) return false
      // Few addresses that the node may not go to can be those it lives on.
      if (flow === 'egress') return true
      return flow === 'ingress' && ports.length === 0 && isAnybody(from) && isAnybody(to)
    })
  )
}

function isAnybody(sources: readonly AddressSource[] | undefined): boolean {
  return (
    sources === undefined ||
    sources.some((source) => ('set' in source ? source.set === 'any' : source.prefix === 0))
  )
}
