import { isOurChain } from './chain.ts'
import { dropsInvalid } from './compile-steps.ts'
import { logTag } from './log-text.ts'
import type { SavedTable } from './saved-table.ts'

const logs = new RegExp(` -j (?:NFLOG --nflog|LOG --log)-prefix "?${logTag} `)

/**
 * How many packets rules of ours have seen and not logged, as that would have been more than so many a second: those that
 * the rule behind the one that logs has counted, and it has not. Both match the same packets; of those that are rejected
 * a rule in between takes what is INVALID.
 */
export function countUnlogged(table: SavedTable): number {
  let unlogged = 0
  for (const [name, { rules }] of table) {
    if (!isOurChain(name)) continue
    for (const [index, { text, counters }] of rules.entries()) {
      if (!logs.test(text)) continue
      const [next, second] = rules.slice(index + 1)
      const seen =
        packetsOf(next?.counters) + (dropsInvalid(next?.text ?? '') ? packetsOf(second?.counters) : 0)
      unlogged += Math.max(0, seen - packetsOf(counters))
    }
  }
  return unlogged
}

/** `[packets:bytes]` */
function packetsOf(counters = ''): number {
  return Number(/^\[(\d+):/.exec(counters)?.[1] ?? 0)
}
