import { isExpected, messageOf } from '../errors.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { otherBackend } from './backend.ts'
import type { Backend } from './backend.ts'
import { isOurChain } from './chain.ts'
import { NotInForceError } from './enforce.ts'
import type { Ipsets } from './ipsets.ts'
import { readMade } from './made.ts'
import { leadsToOurs } from './position.ts'
import { removeText } from './restore-text.ts'
import type { SavedTable } from './saved-table.ts'
import type { Tables } from './tables.ts'

export type Cleared = {
  readonly family: Family
  /** Whether there was anything of ours. */
  readonly removed: boolean
  /** Rules of others that the table holds. */
  readonly foreignRules: number
}

/**
 * Removes our chains and every jump to them from both families of one backend, and proves it by reading back.
 *
 * @throws {CommandError | UnreadableTableError} when reading or writing fails
 * @throws {NotInForceError} when something of ours is left all the same
 */
export async function clearBackend(tables: Tables, backend: Backend): Promise<Cleared[]> {
  return Promise.all(families.map(async (family) => clearFamily(tables, backend, family)))
}

/**
 * Nodes change their backend in upgrades: once all is in force in the one, nothing of ours stays in the other, where
 * nobody would see it.
 *
 * @returns what is worth knowing of rules of others there, since both apply, each a sentence
 */
export async function clearOther(tables: Tables, other: Backend): Promise<readonly string[]> {
  try {
    const cleared = await clearBackend(tables, other)
    const foreign = cleared.filter(({ foreignRules }) => foreignRules > 0)
    return foreign.map(({ family, foreignRules }) => {
      return `iptables-${other} holds ${foreignRules} rules for ${family} too, and both backends apply: what one of them drops stays dropped, and neither can let through what the other denies; move them to iptables-${otherBackend(other)}, or flush them if nobody uses them`
    })
  } catch (error) {
    if (!isExpected(error)) throw error
    return [`the other backend, iptables-${other}, cannot be read: ${messageOf(error)}`]
  }
}

async function clearFamily(tables: Tables, backend: Backend, family: Family): Promise<Cleared> {
  const table = await tables.read(backend, family)
  const removed = holdsOurs(table)
  // Also what was made for rules that are gone, which whoever removed them may not have come to.
  if (!removed && readMade(table).length === 0)
    return { family, removed: false, foreignRules: countRules(table) }
  await tables.restore(backend, family, removeText(table))
  const after = await tables.read(backend, family)
  if (holdsOurs(after)) {
    throw new NotInForceError(`clearing ${family} with ${backend}: something put our chains back`)
  }
  return { family, removed, foreignRules: countRules(after) }
}

/**
 * Removes our kernel sets, which no rule may use any more, and proves it by reading back; returns how many there were.
 *
 * @throws {CommandError | UnreadableIpsetsError} when reading or writing fails
 * @throws {NotInForceError} when a set is left, as it is when a rule of somebody else uses it
 */
export async function clearSets(ipsets: Ipsets): Promise<number> {
  const present = await ipsets.read()
  if (present.size === 0) return 0
  await ipsets.destroyUnused(new Set(), present)
  const [left] = (await ipsets.read()).keys()
  if (left !== undefined) throw new NotInForceError(`clearing the sets: something still uses ${left}`)
  return present.size
}

function holdsOurs(table: SavedTable): boolean {
  const jumps = [...table.values()].some(({ rules }) => rules.some(({ text }) => leadsToOurs(text)))
  return jumps || [...table.keys()].some(isOurChain)
}

function countRules(table: SavedTable): number {
  return [...table.values()].reduce((sum, { rules }) => sum + rules.length, 0)
}
