import { OutsideError } from '../errors.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import type { Desired } from './chain.ts'
import { compareTable } from './compare.ts'
import type { Difference } from './compare.ts'
import { compareSets } from './ipset-compare.ts'
import { isStaticName } from './ipset-text.ts'
import { noSets } from './ipset-read.ts'
import type { SavedSets } from './ipset-read.ts'
import type { Ipsets } from './ipsets.ts'
import { removeText, restoreText, rewriteText } from './restore-text.ts'
import type { SavedTable } from './saved-table.ts'
import type { Tables } from './tables.ts'

export type EnforceOptions = {
  readonly tables: Tables
  readonly ipsets: Ipsets
  readonly backend: Backend
  readonly family: Family
  /** `undefined`: nothing of ours should be there. */
  readonly desired: Desired | undefined
  /** Write even when nothing differs. */
  readonly rewrite?: boolean
  /** Awaited before anything is written. */
  readonly mayWrite?: () => Promise<void>
  /** Write nothing, only compare. */
  readonly dryRun?: boolean
  /** Whether the jumps may be moved before somebody else's rules once more. */
  readonly mayMove?: boolean
  /** Whether kernel sets of ours can be there although none is desired. */
  readonly mayHaveSets?: boolean
  /** Looks for such sets in any case, and at each element of sets however long they are. */
  readonly looksCloser?: boolean
}

export type Enforced = {
  /** The table and the sets as they were read back last. */
  readonly table: SavedTable
  readonly sets: SavedSets
  /** What differed before anything was written. */
  readonly found: readonly Difference[]
  /** What differs still: only what must not, or cannot yet, be written. */
  readonly left: readonly Difference[]
  /** Whether rules were written, or sets that rules are made with; the elements of the cluster's sets are none. */
  readonly wrote: boolean
  readonly notes: readonly string[]
}

/** What was written was accepted by the kernel, and yet is not what is read back. */
export class NotInForceError extends OutsideError {
  override readonly name = 'NotInForceError'
}

/**
 * Brings one family's table and kernel sets to what is desired: read, compare, write what differs, read back. New
 * sets are full before the one commit that makes rules name them; old ones go when no rule names them any more.
 * Writes nothing when nothing differs.
 *
 * @throws {CommandError | UnreadableTableError} when reading or writing fails; the table is then as it was
 * @throws {NotInForceError} when what is read back is not what was written
 */
export async function enforceFamily(options: EnforceOptions): Promise<Enforced> {
  const { tables, ipsets, backend, family, desired, rewrite = false } = options
  const before = await readAll(options)
  const found = compareAll(desired, before)
  const due = found.filter(({ kind }) => kind !== 'jump-preceded' || options.mayMove !== false)
  const rewrites = rewrite && desired !== undefined
  if (options.dryRun === true || (due.length === 0 && !rewrites)) {
    return { ...before, found, left: found, wrote: false, notes: [] }
  }
  await options.mayWrite?.()
  const ofTable = due.filter((difference) => !isOfSets(difference))
  const ofSets = due.filter(isOfSets)
  if (ofSets.length > 0 && desired !== undefined) await ipsets.prepare(desired.sets, before.sets)
  const notes =
    rewrites || ofTable.length > 0
      ? await tables.restore(backend, family, writeText(desired, before.table, ofTable, rewrite))
      : []
  if (ofSets.some(({ kind }) => kind === 'set-unwanted')) {
    await ipsets.destroyUnused(new Set(desired?.sets.map(({ name }) => name)), before.sets)
  }
  const after = await readAll(options)
  const left = compareAll(desired, after)
  const wrong = left.find(({ kind }) => !mayStay(kind))
  if (wrong !== undefined) {
    const difference = [wrong.message, ...wrong.lines.slice(0, 2)].join('; ')
    throw new NotInForceError(`reading back ${family} with ${backend} after a commit: ${difference}`)
  }
  const wrote = rewrites || due.some((difference) => !isElementChange(difference) && !isMade(difference))
  return { ...after, found, left, wrote, notes }
}

/**
 * Rules of others that must not be overtaken again, sets that something of somebody's still uses, and what was made
 * for rules that are gone, are told of, and make what is in force no less what was wanted.
 */
export function mayStay(kind: Difference['kind']): boolean {
  return kind === 'jump-preceded' || kind === 'set-unwanted' || kind === 'made-unwanted'
}

type Seen = { readonly table: SavedTable; readonly sets: SavedSets }

async function readAll(options: EnforceOptions): Promise<Seen> {
  const { tables, backend, family } = options
  const [table, sets] = await Promise.all([tables.read(backend, family), readSets(options)])
  return { table, sets }
}

/** The sets of ours, of which there are none where none is desired and none can be left of before. */
export async function readSets(
  options: Pick<EnforceOptions, 'ipsets' | 'family' | 'desired' | 'mayHaveSets' | 'looksCloser'>,
): Promise<SavedSets> {
  const { ipsets, family, desired, mayHaveSets = false, looksCloser = false } = options
  if (desired !== undefined && desired.sets.length > 0) {
    return ipsets.read({ thorough: looksCloser, family })
  }
  if (!mayHaveSets && !looksCloser) return noSets
  // A host without ipset(8) can do without it for as long as no rule needs a set.
  return ipsets.read({ family }).catch((error: unknown) => {
    if (!(error instanceof OutsideError) || error.wasKilled) throw error
    return noSets
  })
}

function compareAll(desired: Desired | undefined, { table, sets }: Seen): Difference[] {
  return [...compareTable(desired, table), ...compareSets(desired?.sets ?? [], sets)]
}

function isElementChange({ kind, where }: Difference): boolean {
  return kind === 'set-changed' && !isStaticName(where)
}

function isMade({ kind }: Difference): boolean {
  return kind === 'made-unwanted'
}

function isOfSets({ kind }: Difference): boolean {
  return kind.startsWith('set-')
}

function writeText(
  desired: Desired | undefined,
  table: SavedTable,
  due: readonly Difference[],
  rewrite: boolean,
) {
  if (desired === undefined) return removeText(table)
  return rewrite ? rewriteText(desired, table, due) : restoreText(desired, table, due)
}
