import { isExpected } from '../errors.ts'
import type { Wanted } from '../policy/decide.ts'
import type { Policy } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import { baseChains, chainNames, isOurChain, readMarker } from './chain.ts'
import type { BaseChain, Desired } from './chain.ts'
import type { Difference } from './compare.ts'
import { compilePolicy } from './compile.ts'
import { enforceFamily, mayStay, readSets } from './enforce.ts'
import { isStaticName } from './ipset-text.ts'
import type { SavedSets } from './ipset-read.ts'
import type { Ipsets } from './ipsets.ts'
import type { LogTarget } from './log-text.ts'
import { readPosition } from './position.ts'
import type { Position } from './position.ts'
import type { SavedTable } from './saved-table.ts'
import type { Tables } from './tables.ts'
import { countUnlogged } from './unlogged.ts'

/** What one pass did to, and found in, the table of one family. */
export type FamilyOutcome = {
  /** What the kernel was seen to hold; absent when it could not be read. */
  readonly seen?: Seen
  /** What was seen before it could not be read: what was changed meanwhile is drift all the same. */
  readonly seenBefore?: Pick<FamilyOutcome, 'left'> & { readonly seen: Seen }
  /** What was seen in force, as wanted; what differs from it later is drift. */
  readonly desired?: Desired
  readonly wrote: boolean
  /** A commit was made, and what came of it could not be read back. */
  readonly mayHold?: true
  readonly drift: readonly Drift[]
  readonly notes: readonly string[]
  /** When the jump was moved before rules of others, as `now` has it: too often is a war. */
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
  /** How each base chain that should lead to ours does. */
  readonly positions: Readonly<Partial<Record<BaseChain, Position>>>
  /** Kernel sets of ours. */
  readonly sets: number
  /** Packets that rules would have logged but for the limit of each. */
  readonly unlogged: number
  /** How many elements each of them holds. */
  readonly setSizes: ReadonlyMap<string, number>
}

/** A change that came from outside. */
export type Drift = { readonly kind: string; readonly message: string; readonly healed: boolean }

export type KeepOptions = {
  readonly tables: Tables
  readonly ipsets: Ipsets
  readonly backend: Backend
  readonly family: Family
  readonly wanted: Wanted
  /** Where rules that log send packets. */
  readonly logTarget: LogTarget
  readonly rewrite: boolean
  /** Looks for kernel sets that may be left of earlier times, and at each element of long ones. */
  readonly looksCloser: boolean
  readonly dryRun: boolean
  /** Awaited before anything is written. */
  readonly mayWrite: () => Promise<void>
  /** ms of a clock that nobody can set. */
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
  const { tables, hasCommitted } = noteCommits(options.tables)
  try {
    if (options.wanted.kind === 'whatever is there') {
      const { ipsets, backend, family } = options
      const [table, sets] = await Promise.all([
        tables.read(backend, family),
        readSets({ ipsets, family, desired: undefined, mayHaveSets: true }),
      ])
      return { ...nothingDone, seen: describe(table, sets, false) }
    }
    const desired = options.wanted.kind === 'policy' ? compileOnce(options.wanted.policy, options) : undefined
    const result = await enforceFamily({
      ...options,
      tables,
      desired,
      mayMove: moves.length < moveBudget.moves,
      // After a pass that failed it is not known what it has left.
      mayHaveSets: (last?.seen?.sets ?? 1) > 0,
    })
    const moved = result.wrote && result.found.some(({ kind }) => kind === 'jump-preceded')
    const asWanted = result.left.every(({ kind }) => mayStay(kind))
    const seen = describe(result.table, result.sets, asWanted)
    return {
      seen,
      ...(desired === undefined ? {} : { desired }),
      wrote: result.wrote,
      drift: findDrift(last, desired, result.found, result.left, seen),
      notes: result.notes,
      moves: moved ? [...moves, options.now] : moves,
      left: result.left,
    }
  } catch (error) {
    if (!isExpected(error)) throw error
    const seenBefore = lastSeen(last)
    return {
      ...nothingDone,
      ...(hasCommitted() ? { mayHold: true as const } : {}),
      ...(seenBefore === undefined ? {} : { seenBefore }),
      ...(last?.desired === undefined ? {} : { desired: last.desired }),
      error,
    }
  }
}

/** Whether anything was committed, whatever came of it then. */
function noteCommits(tables: Tables): { readonly tables: Tables; readonly hasCommitted: () => boolean } {
  let hasCommitted = false
  const restore: Tables['restore'] = async (...commit) => {
    const notes = await tables.restore(...commit)
    hasCommitted = true
    return notes
  }
  return { tables: { ...tables, restore }, hasCommitted: () => hasCommitted }
}

const compiled = new WeakMap<Policy, Partial<Record<`${Family} ${LogTarget}`, Desired>>>()

/** The same policy is asked for with every pass. */
function compileOnce(
  policy: Policy,
  { family, logTarget }: Pick<KeepOptions, 'family' | 'logTarget'>,
): Desired {
  const known = compiled.get(policy) ?? {}
  const key = `${family} ${logTarget}` as const
  const desired = known[key] ?? compilePolicy(policy, family, logTarget)
  compiled.set(policy, { ...known, [key]: desired })
  return desired
}

function describe(table: SavedTable, sets: SavedSets, asWanted: boolean): Seen {
  const chains = [...table].filter(([name]) => isOurChain(name))
  const first = table.get(chainNames.input)?.rules.map(({ text }) => text)
  const ruleset = first === undefined ? 'none' : (readMarker(first) ?? 'unknown')
  return {
    asWanted,
    ruleset,
    rules: chains.reduce((sum, [, { rules }]) => sum + rules.length, 0),
    positions: Object.fromEntries(baseChains.map((base) => [base, readPosition(table, base)])),
    sets: sets.size,
    unlogged: countUnlogged(table),
    setSizes: new Map([...sets].map(([name, { size }]) => [name, size])),
  }
}

/** Differences are drift only where the same had been seen in force: else they are a change of rules. */
function findDrift(
  last: FamilyOutcome | undefined,
  desired: Desired | undefined,
  found: readonly Difference[],
  left: readonly Difference[],
  seen: Seen,
): Drift[] {
  const before = lastSeen(last)
  if (before === undefined || !sameDesired(last?.desired, desired)) return []
  const { positions } = before.seen
  const known = new Set(before.left.map(({ lines }) => lines.join('\n')))
  const drift: Drift[] = found
    .filter(({ lines }) => !known.has(lines.join('\n')) || lines.length === 0)
    .map((difference) => ({ ...difference, healed: !left.some((other) => isSame(other, difference)) }))
  const policies = baseChains.flatMap((base): Drift[] => {
    const [old, now] = [positions[base]?.policy, seen.positions[base]?.policy]
    if (old === now) return []
    const message = `the policy of ${base} went from ${old} to ${now}`
    return [{ kind: 'policy-changed', message, healed: false }]
  })
  return [...drift, ...policies]
}

function lastSeen(last: FamilyOutcome | undefined): FamilyOutcome['seenBefore'] {
  return last?.seen === undefined ? last?.seenBefore : { seen: last.seen, left: last.left }
}

function isSame(a: Difference, b: Difference): boolean {
  return a.kind === b.kind && a.where === b.where
}

function sameDesired(a: Desired | undefined, b: Desired | undefined): boolean {
  return a === b || describeDesired(a) === describeDesired(b)
}

/** The name of a static set says what it holds, which may be very much. */
function describeDesired(desired: Desired | undefined): string {
  const sets = desired?.sets.map((set) => (isStaticName(set.name) ? set.name : set))
  return JSON.stringify([desired?.chains, desired?.jumps, sets])
}
