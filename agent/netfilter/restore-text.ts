import { baseChain, chainName, jumpRule } from './chain.ts'
import type { Chain } from './chain.ts'
import type { Difference } from './compare.ts'
import { targetOf } from './position.ts'
import type { SavedTable } from './saved-table.ts'

/**
 * The input of `iptables-restore --noflush --counters` that turns a table into the desired one in a single
 * commit: the refill of our chain and the fix of our jump together, nothing else touched. Rules that were
 * there already keep their counters; packets counted between the reading and the commit are lost to them.
 *
 * A chain that is declared again is emptied and refilled inside the commit (iptables-restore(8), --noflush).
 * Jumps are deleted exactly as they were read: if somebody was faster, the whole commit fails and is redone.
 */
export function restoreText(desired: Chain, table: SavedTable, differences: readonly Difference[]): string {
  const refills = differences.some(({ kind }) => kind.startsWith('chain-'))
  return commit([...(refills ? refill(desired, table) : []), ...jumpDue(table, differences)])
}

/** Rewrites the chain whether it differs or not; a jump that stands as it should is not moved past others. */
export function rewriteText(desired: Chain, table: SavedTable, differences: readonly Difference[]): string {
  return commit([...refill(desired, table), ...jumpDue(table, differences)])
}

/** Removes our chain and every jump to it, from whichever chain of the table. */
export function removeText(table: SavedTable): string {
  const jumps = [...table].flatMap(([chain, { rules }]) =>
    rules.filter(({ text }) => targetOf(text) === chainName).map(({ text }) => `-D ${chain} ${text}`),
  )
  const chain = table.has(chainName) ? [`:${chainName} - [0:0]`] : []
  return commit([...chain, ...jumps, ...chain.map(() => `-X ${chainName}`)])
}

/** What is restored on a node that has nothing of ours yet: what `render` shows. */
export function freshText(desired: Chain): string {
  return commit([
    `:${desired.name} - [0:0]`,
    ...desired.rules.map((rule) => `-A ${desired.name} ${rule}`),
    insertJump,
  ])
}

const insertJump = `-I ${baseChain} 1 ${jumpRule}`

function refill(desired: Chain, table: SavedTable): string[] {
  const counters = new Map(table.get(desired.name)?.rules.map(({ text, counters: count }) => [text, count]))
  const rules = desired.rules.map((rule) => `${counters.get(rule) ?? '[0:0]'} -A ${desired.name} ${rule}`)
  return [`:${desired.name} - [0:0]`, ...rules]
}

function jumpDue(table: SavedTable, differences: readonly Difference[]): string[] {
  return differences.some(({ kind }) => kind.startsWith('jump-')) ? fixJump(table) : []
}

function fixJump(table: SavedTable): string[] {
  const jumps = table.get(baseChain)?.rules.filter(({ text }) => targetOf(text) === chainName) ?? []
  const counters = jumps.find(({ text }) => text === jumpRule)?.counters ?? '[0:0]'
  return [...jumps.map(({ text }) => `-D ${baseChain} ${text}`), `${counters} ${insertJump}`]
}

function commit(lines: readonly string[]): string {
  return ['*filter', ...lines, 'COMMIT', ''].join('\n')
}
