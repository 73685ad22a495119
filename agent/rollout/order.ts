import { hash } from 'node:crypto'

/** The order in which a change crosses the fleet. */
export type Order = {
  readonly names: readonly string[]
  readonly positions: ReadonlyMap<string, number>
}

/**
 * Nodes in the order of SHA-256 over the hash of the rulesets and their name: the same on every node, no clock in it,
 * and another one for each change, so that it is not always the same nodes that try first. Two nodes stand in the same
 * order to each other whoever else is there.
 */
export function orderOf(names: Iterable<string>, rulesets: string): Order {
  const keys = [...new Set(names)].map((name) => [hash('sha256', `${rulesets} ${name}`), name] as const)
  const sorted = keys.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, name]) => name)
  return { names: sorted, positions: new Map(sorted.map((name, position) => [name, position])) }
}

/** Where stages begin and end: the canaries are stage 0, all others have the same size. */
export type Stages = { readonly canaries: number; readonly size: number }

/** The stage of a position. */
export function stageOf(position: number, { canaries, size }: Stages): number {
  return position < canaries ? 0 : 1 + Math.floor((position - canaries) / size)
}

/** The nodes of a stage, in their order. */
export function membersOf(stage: number, { names }: Order, { canaries, size }: Stages): readonly string[] {
  if (stage === 0) return names.slice(0, canaries)
  // A stage may be endless: then it is the only one after the canaries.
  const start = stage === 1 ? canaries : canaries + (stage - 1) * size
  return names.slice(start, start + size)
}
