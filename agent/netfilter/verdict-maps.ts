import * as z from 'zod'
import { isOurChain } from './chain.ts'
import { targetOf } from './position.ts'
import { UnreadableTableError } from './saved-table.ts'
import type { SavedTable } from './saved-table.ts'

/** What stands in place of the verdicts that iptables-nft-save leaves out. */
export const verdictMapTarget = 'verdict-map'

/** Whether a rule of somebody else seems to do nothing: a native rule that decides by a map is printed like that. */
export function mayHaveVerdictMaps(table: SavedTable): boolean {
  return [...table].some(
    ([name, { rules }]) => !isOurChain(name) && rules.some(({ text }) => targetOf(text) === undefined),
  )
}

/**
 * Gives rules that decide by a verdict map a target. iptables-nft-save prints `tcp dport vmap { 9090 : accept }` as
 * `-p tcp`, without a complaint (seen with 1.8.9).
 *
 * @param listed what `nft --json list table` printed of the same table
 * @throws {UnreadableTableError} when that is not whole, or of another moment
 */
export function markVerdictMaps(table: SavedTable, listed: string): SavedTable {
  const maps = readVerdictMaps(listed)
  const marked = [...table].map(([name, chain]) => {
    const decides = maps.get(name) ?? []
    if (decides.length !== chain.rules.length) {
      throw new UnreadableTableError(
        `reading the filter table: found ${chain.rules.length} rules in ${name}, nft(8) tells of ${decides.length}`,
      )
    }
    const rules = chain.rules.map((rule, index) =>
      decides[index] === true ? { ...rule, text: `${rule.text} -j ${verdictMapTarget}`.trimStart() } : rule,
    )
    return [name, { ...chain, rules }] as const
  })
  return new Map(marked)
}

/** For each chain, rule by rule, whether it decides by a map. */
function readVerdictMaps(listed: string): ReadonlyMap<string, readonly boolean[]> {
  const maps = new Map<string, boolean[]>()
  for (const { rule } of parse(listed).nftables) {
    if (rule === undefined) continue
    const chain = maps.get(rule.chain) ?? []
    chain.push(rule.expr.some((expression) => 'vmap' in expression))
    maps.set(rule.chain, chain)
  }
  return maps
}

function parse(listed: string): z.infer<typeof listing> {
  try {
    return listing.parse(JSON.parse(listed))
  } catch (cause) {
    throw new UnreadableTableError(
      'reading the filter table: the answer of nft(8) is not the JSON it should be',
      {
        cause,
      },
    )
  }
}

const listing = z.object({
  nftables: z.array(
    z.object({
      rule: z.object({ chain: z.string(), expr: z.array(z.record(z.string(), z.unknown())) }).optional(),
    }),
  ),
})
