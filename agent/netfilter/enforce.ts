import { OutsideError } from '../errors.ts'
import type { Family } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import type { Chain } from './chain.ts'
import { compareTable } from './compare.ts'
import type { Difference } from './compare.ts'
import { removeText, restoreText, rewriteText } from './restore-text.ts'
import type { SavedTable } from './saved-table.ts'
import type { Tables } from './tables.ts'

export type EnforceOptions = {
  readonly tables: Tables
  readonly backend: Backend
  readonly family: Family
  /** `undefined`: nothing of ours should be there. */
  readonly desired: Chain | undefined
  /** Write even when nothing differs. */
  readonly rewrite?: boolean
  /** Write nothing, only compare. */
  readonly dryRun?: boolean
  /** Whether the jump may be moved before somebody else's rule once more. */
  readonly mayMove?: boolean
}

export type Enforced = {
  /** The table as it was read back last. */
  readonly table: SavedTable
  /** What differed before anything was written. */
  readonly found: readonly Difference[]
  /** What differs still: only what must not be written. */
  readonly left: readonly Difference[]
  readonly wrote: boolean
  readonly notes: readonly string[]
}

/** What was written was accepted by the kernel, and yet is not what is read back. */
export class NotInForceError extends OutsideError {
  override readonly name = 'NotInForceError'
}

/**
 * Brings one family's table to the desired chain: read, compare, write what differs in one commit, read back.
 * Writes nothing when nothing differs.
 *
 * @throws {CommandError | UnreadableTableError} when reading or writing fails; the table is then as it was
 * @throws {NotInForceError} when what is read back is not what was written
 */
export async function enforceChain(options: EnforceOptions): Promise<Enforced> {
  const { tables, backend, family, desired, rewrite = false } = options
  const table = await tables.read(backend, family)
  const found = compareTable(desired, table)
  const due = found.filter(({ kind }) => kind !== 'jump-preceded' || options.mayMove !== false)
  if (options.dryRun === true || (due.length === 0 && !(rewrite && desired !== undefined))) {
    return { table, found, left: found, wrote: false, notes: [] }
  }
  const notes = await tables.restore(backend, family, writeText(desired, table, due, rewrite))
  const after = await tables.read(backend, family)
  const left = compareTable(desired, after)
  const wrong = left.find(({ kind }) => kind !== 'jump-preceded')
  if (wrong !== undefined) {
    const difference = [wrong.message, ...wrong.lines.slice(0, 2)].join('; ')
    throw new NotInForceError(`reading back ${family} with ${backend} after a commit: ${difference}`)
  }
  return { table: after, found, left, wrote: true, notes }
}

function writeText(
  desired: Chain | undefined,
  table: SavedTable,
  due: readonly Difference[],
  rewrite: boolean,
) {
  if (desired === undefined) return removeText(table)
  return rewrite ? rewriteText(desired, table, due) : restoreText(desired, table, due)
}
