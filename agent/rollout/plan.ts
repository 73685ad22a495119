import type { Portion, Ruleset } from '../ruleset/ruleset.ts'

/** How a change crosses the fleet, as all rulesets of a node want it. */
export type Plan = {
  readonly canaries: number
  /** The smallest of these is the size of a stage. */
  readonly stages: readonly Portion[]
  readonly pauseMs: number
}

/**
 * The most careful of what the rulesets of a node say; undefined when none of them says anything. They are one change
 * to the node, so there is no error in it if they differ: fewer canaries, smaller stages, longer pauses hold for all.
 */
export function planOf(rulesets: readonly Ruleset[]): Plan | undefined {
  const rollouts = rulesets.flatMap(({ rollout }) => rollout ?? [])
  if (rollouts.length === 0) return undefined
  return {
    canaries: Math.min(...rollouts.map(({ canaries }) => canaries)),
    stages: rollouts.map(({ stage }) => stage),
    pauseMs: Math.max(...rollouts.map(({ pauseMs }) => pauseMs)),
  }
}

/** How many nodes each stage after the canaries has, of a fleet of so many; at least one. */
export function stageSize({ stages }: Plan, nodes: number): number {
  const sizes = stages.map(({ unit, amount }) =>
    unit === 'nodes' ? amount : Math.ceil((nodes * amount) / 100),
  )
  return Math.max(1, Math.min(...sizes))
}
