import { isOurChain } from './chain.ts'
import { logTag } from './log-text.ts'
import type { SavedTable } from './saved-table.ts'

const logs = new RegExp(` -j (?:NFLOG --nflog|LOG --log)-prefix "?${logTag} `)

/**
 * How many packets rules of ours have seen and not logged, as that would have been more than so many a second: those that
 * the rule behind the one that logs has counted, and it has not. Both match the same packets.
 */
export function countUnlogged(table: SavedTable): number {
  let unlogged = 0
  for (const [name, { rules }] of table) {
    if (!isOurChain(name)) continue
    for (const [index, { text, counters }] of rules.entries()) {
      const next = rules[index + 1]
      if (next === undefined || !logs.test(text)) continue
      unlogged += Math.max(0, packetsOf(next.counters) - packetsOf(counters))
    }
  }
  return unlogged
}

/** `[packets:bytes]` */
function packetsOf(counters: string): number {
  return Number(/^\[(\d+):/.exec(counters)?.[1] ?? 0)
}
