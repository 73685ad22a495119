import type { Backend } from '../../agent/netfilter/backend.ts'
import { usableBackends } from '../sandbox/backends.ts'

/** `LOCKOUTS=all`: each row on each backend. It takes many minutes, most of it waiting for deadlines. */
export const isWhole = process.env['LOCKOUTS'] === 'all'

/** The backends on which a file is run: without `LOCKOUTS=all` on iptables-nft alone, and what is left out is said. */
export async function backendsFor(what: string): Promise<Backend[]> {
  const usable = await usableBackends()
  const chosen = isWhole ? usable : usable.slice(0, 1)
  for (const backend of usable.filter((each) => !chosen.includes(each))) {
    console.warn(`SKIPPED: ${what} on iptables-${backend}: npm run test:long has it`)
  }
  return chosen
}

/** Those of the rows that stand for all, by their names, unless all are to be run; what is left out is said. */
export function rowsFor<Row>(
  rows: readonly Row[],
  what: string,
  stands: (row: Row, index: number) => boolean,
): Row[] {
  const chosen = rows.filter((row, index) => isWhole || stands(row, index))
  const left = rows.length - chosen.length
  if (left > 0) console.warn(`SKIPPED: ${left} of ${rows.length} ${what}: npm run test:long has them`)
  return chosen
}
