import { isExpected } from '../errors.ts'
import type { Wanted } from '../policy/decide.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import { chainName, readMarker } from './chain.ts'
import type { Chain } from './chain.ts'
import type { Difference } from './compare.ts'
import { compileChain } from './compile.ts'
import { enforceChain } from './enforce.ts'
import { readPosition } from './position.ts'
import type { Position } from './position.ts'
import type { SavedTable } from './saved-table.ts'
import type { Tables } from './tables.ts'

/** What one pass did to, and found in, the table of one family. */
export type FamilyOutcome = {
  /** What the kernel was seen to hold; absent when it could not be read. */
  readonly seen?: Seen
  /** The chain that was seen in force, as wanted; what differs from it later is drift. */
  readonly chain?: Chain
  readonly wrote: boolean
  readonly drift: readonly Drift[]
  readonly notes: readonly string[]
  /** When the jump was moved before rules of others, in ms since the epoch: too often is a war. */
  readonly moves: readonly number[]
  /** Differences that must not be healed. */
  readonly left: readonly Difference[]
  readonly error?: Error
}

export type Seen = {
  /** Whether that is what was wanted. */
  readonly asWanted: boolean
  /** Hash of the rulesets the chain was made from; `none` when there is no chain. */
  readonly ruleset: string
  readonly rules: number
  readonly position: Position
}

/** A change that came from outside. */
export type Drift = { readonly kind: string; readonly message: string; readonly healed: boolean }

export type KeepOptions = {
  readonly tables: Tables
  readonly backend: Backend
  readonly family: Family
  readonly wanted: Wanted
  readonly rewrite: boolean
  readonly dryRun: boolean
  /** ms since the epoch */
  readonly now: number
}

/** So many moves of the jump in so many ms are housekeeping; more is a war, which is reported, not fought. */
export const moveBudget = { moves: 5, windowMs: 10 * 60_000 }

/** Keeps one family as wanted. Never throws for what can happen on a node: what failed is in the outcome. */
export async function keepFamily(
  last: FamilyOutcome | undefined,
  options: KeepOptions,
): Promise<FamilyOutcome> {
  const moves = (last?.moves ?? []).filter((at) => at > options.now - moveBudget.windowMs)
  const nothingDone = { wrote: false, drift: [], notes: [], moves, left: [] }
  try {
    if (options.wanted.kind === 'whatever is there') {
      const table = await options.tables.read(options.backend, options.family)
      return { ...nothingDone, seen: describe(table, false) }
    }
    const desired =
      options.wanted.kind === 'policy' ? compileChain(options.wanted.policy, options.family) : undefined
    const result = await enforceChain({ ...options, desired, mayMove: moves.length < moveBudget.moves })
    const moved = result.wrote && result.found.some(({ kind }) => kind === 'jump-preceded')
    return {
      seen: describe(result.table, result.left.every(mayStay)),
      ...(desired === undefined ? {} : { chain: desired }),
      wrote: result.wrote,
      drift: findDrift(last, desired, result.found, result.left, readPosition(result.table)),
      notes: result.notes,
      moves: moved ? [...moves, options.now] : moves,
      left: result.left,
    }
  } catch (error) {
    if (!isExpected(error)) throw error
    return { ...nothingDone, ...(last?.chain === undefined ? {} : { chain: last.chain }), error }
  }
}

/** A rule that must not be overtaken again is left, told of, and does not make our rules any less what was wanted. */
function mayStay({ kind }: Difference): boolean {
  return kind === 'jump-preceded'
}

function describe(table: SavedTable, asWanted: boolean): Seen {
  const rules = table.get(chainName)?.rules.map(({ text }) => text) ?? []
  const ruleset = table.has(chainName) ? (readMarker(rules) ?? 'unknown') : 'none'
  return { asWanted, ruleset, rules: rules.length, position: readPosition(table) }
}

/** Differences are drift only where the same chain had been seen in force: else they are a change of rules. */
function findDrift(
  last: FamilyOutcome | undefined,
  desired: Chain | undefined,
  found: readonly Difference[],
  left: readonly Difference[],
  position: Position,
): Drift[] {
  if (last?.seen === undefined || !sameChain(last.chain, desired)) return []
  const known = new Set(last.left.map(({ lines }) => lines.join('\n')))
  const drift: Drift[] = found
    .filter(({ lines }) => !known.has(lines.join('\n')) || lines.length === 0)
    .map((difference) => ({ ...difference, healed: !left.some(({ kind }) => kind === difference.kind) }))
  if (position.policy === last.seen.position.policy) return drift
  const message = `the policy of INPUT went from ${last.seen.position.policy} to ${position.policy}`
  return [...drift, { kind: 'policy-changed', message, healed: false }]
}

function sameChain(a: Chain | undefined, b: Chain | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.rules.length === b.rules.length && a.rules.every((rule, index) => rule === b.rules[index])
}
