import { OutsideError, messageOf } from '../errors.ts'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import { baseChains } from './chain.ts'
import type { BaseChain } from './chain.ts'
import type { SavedTable } from './saved-table.ts'

/**
 * iptables-nft makes the filter table and its base chains when the first rule needs them. What was not there before is
 * marked by an empty chain beside it, in the same commit: so the note lives exactly as long as what it tells of, and
 * `clean` knows what to take away again. The legacy backend's table cannot be taken away; it gets no marks.
 */
export type Made = BaseChain | 'table'

const prefix = 'node-firewall-made-'
const makeables: readonly Made[] = [...baseChains, 'table']

export function markOf(made: Made): string {
  return `${prefix}${made}`
}

/** What the marks in a table say was not there before. */
export function readMade(table: SavedTable): readonly Made[] {
  return makeables.filter((made) => table.has(markOf(made)))
}

/** nft(8) is missing or failed: what was made for our rules is unknown, neither all nor nothing. */
export class UnknownBasesError extends OutsideError {
  override readonly name = 'UnknownBasesError'
}

/**
 * Which of them the family has now. `iptables-nft-save` cannot tell: it prints base chains that are not there.
 *
 * @throws {UnknownBasesError} when nft(8) cannot be asked
 * @throws {CommandError} when it was killed
 */
export async function readPresent(exec: Exec, family: Family): Promise<ReadonlySet<Made>> {
  const { stdout } = await exec('nft', ['list', 'chains', nftFamily(family)]).catch((cause: unknown) => {
    if (cause instanceof OutsideError && cause.wasKilled) throw cause
    const why = `asking nft which base chains are there, so that clean may remove what is new: ${messageOf(cause)}`
    throw new UnknownBasesError(why, { cause })
  })
  return parsePresent(stdout, family)
}

/** Reads what `nft list chains ip` prints. */
export function parsePresent(text: string, family: Family): ReadonlySet<Made> {
  const [, body] =
    new RegExp(`^table ${nftFamily(family)} filter \\{\\n((?:\\t.*\\n)*)\\}`, 'm').exec(text) ?? []
  if (body === undefined) return new Set()
  return new Set<Made>(['table', ...baseChains.filter((base) => body.includes(`\tchain ${base} {\n`))])
}

/** Base chains that a commit puts rules into. */
export function basesOf(text: string): readonly BaseChain[] {
  return baseChains.filter((base) => new RegExp(`^(?:\\[\\d+:\\d+\\] )?-I ${base} `, 'm').test(text))
}

/** A commit that marks what it makes. */
export function addMarks(text: string, making: readonly Made[]): string {
  return text.replace('*filter\n', `*filter\n${making.map((made) => `:${markOf(made)} - [0:0]\n`).join('')}`)
}

function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 'ipv4' ? 'ip' : 'ip6'
}
