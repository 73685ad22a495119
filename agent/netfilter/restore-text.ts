import { baseChains, isOurChain, jumpRule } from './chain.ts'
import type { BaseChain, Chain, Desired } from './chain.ts'
import type { Difference } from './compare.ts'
import { leadsToOurs, targetOf } from './position.ts'
import type { SavedTable } from './saved-table.ts'

/**
 * The input of `iptables-restore --noflush --counters` that turns a table into the desired one in a single
 * commit: the refill of our chains that differ and the fix of our jumps together, nothing else touched. Rules that
 * were there already keep their counters; packets counted between the reading and the commit are lost to them.
 *
 * A chain that is declared again is emptied and refilled inside the commit (iptables-restore(8), --noflush).
 * Jumps are deleted exactly as they were read: if somebody was faster, the whole commit fails and is redone.
 */
export function restoreText(desired: Desired, table: SavedTable, differences: readonly Difference[]): string {
  const changed = new Set(
    differences.filter(({ kind }) => kind.startsWith('chain-')).map(({ where }) => where),
  )
  const due = desired.chains.filter(({ name }) => changed.has(name))
  return commit([
    ...refill(due, unwantedChains(desired, table), table),
    ...jumpsDue(desired, table, differences),
  ])
}

/**
 * Rewrites the chains whether they differ or not; a jump that stands as it should is not moved past others.
 * Chains that count standing connections would forget them, so they are left where they do not differ.
 */
export function rewriteText(desired: Desired, table: SavedTable, differences: readonly Difference[]): string {
  const changed = new Set(differences.map(({ where }) => where))
  const due = desired.chains.filter(
    ({ name, rules }) => changed.has(name) || !rules.some((rule) => rule.includes(' -m connlimit ')),
  )
  return commit([
    ...refill(due, unwantedChains(desired, table), table),
    ...jumpsDue(desired, table, differences),
  ])
}

/** Removes our chains and every jump to them, from whichever chain of the table. */
export function removeText(table: SavedTable): string {
  return commit(refill([], [...table.keys()].filter(isOurChain), table))
}

/** What is restored on a node that has nothing of ours yet: what `render` shows. */
export function freshText(desired: Desired): string {
  return commit([
    ...desired.chains.map(({ name }) => `:${name} - [0:0]`),
    ...desired.chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...baseChains.flatMap((base) => insertJump(base, desired.jumps[base])),
  ])
}

function insertJump(base: BaseChain, chain: string | undefined, counters = ''): string[] {
  return chain === undefined ? [] : [`${counters}-I ${base} 1 ${jumpRule(chain)}`]
}

/** Chains are declared before any rule can lead to them, and removed when none leads to them any more. */
function refill(due: readonly Chain[], unwanted: readonly string[], table: SavedTable): string[] {
  return [
    ...due.map(({ name }) => `:${name} - [0:0]`),
    ...unwanted.map((name) => `:${name} - [0:0]`),
    ...due.flatMap((chain) => rulesOf(chain, table)),
    ...unwanted.flatMap((name) => jumpsTo(name, table)),
    ...unwanted.map((name) => `-X ${name}`),
  ]
}

function rulesOf({ name, rules }: Chain, table: SavedTable): string[] {
  const counters = new Map(table.get(name)?.rules.map(({ text, counters: count }) => [text, count]))
  return rules.map((rule) => `${counters.get(rule) ?? '[0:0]'} -A ${name} ${rule}`)
}

function unwantedChains({ chains }: Desired, table: SavedTable): string[] {
  const wanted = new Set(chains.map(({ name }) => name))
  return [...table.keys()].filter((name) => isOurChain(name) && !wanted.has(name))
}

/** Jumps to a chain of ours from chains of others; those of ours are refilled without them. */
function jumpsTo(name: string, table: SavedTable): string[] {
  return [...table]
    .filter(([chain]) => !isOurChain(chain))
    .flatMap(([chain, { rules }]) =>
      rules.filter(({ text }) => targetOf(text) === name).map(({ text }) => `-D ${chain} ${text}`),
    )
}

function jumpsDue(desired: Desired, table: SavedTable, differences: readonly Difference[]): string[] {
  const due = new Set(differences.filter(({ kind }) => kind.startsWith('jump-')).map(({ where }) => where))
  const kept = new Set(desired.chains.map(({ name }) => name))
  return baseChains
    .filter((base) => due.has(base))
    .flatMap((base) => fixJump(base, desired.jumps[base], table, kept))
}

function fixJump(
  base: BaseChain,
  chain: string | undefined,
  table: SavedTable,
  kept: ReadonlySet<string>,
): string[] {
  const jumps = table.get(base)?.rules.filter(({ text }) => leadsToOurs(text)) ?? []
  const counters =
    jumps.find(({ text }) => chain !== undefined && text === jumpRule(chain))?.counters ?? '[0:0]'
  // Those to a chain that is not wanted any more go with the chain.
  const stale = jumps.filter(({ text }) => kept.has(targetOf(text) ?? ''))
  return [...stale.map(({ text }) => `-D ${base} ${text}`), ...insertJump(base, chain, `${counters} `)]
}

function commit(lines: readonly string[]): string {
  return ['*filter', ...lines, 'COMMIT', ''].join('\n')
}
