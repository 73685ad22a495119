import { OutsideError } from '../errors.ts'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import { deleteTableMessage } from './delete-table-message.ts'
import { markOf, readMade, readPresent } from './made.ts'
import type { Made } from './made.ts'
import type { Tables } from './tables.ts'

export type Unmade = {
  readonly removed: readonly Made[]
  /** What was made for us too, and stays: others use it by now. */
  readonly kept: readonly Made[]
}

/**
 * Sends one netlink message, in hex, to the netfilter of the namespace it runs in (AF_NETLINK, SOCK_RAW,
 * NETLINK_NETFILTER). Node.js has no netlink sockets; Debian has perl in every image.
 */
const sender = 'socket(my $s,16,3,12)or die"$!\\n";syswrite($s,pack("H*",<STDIN>))//die"$!\\n"'

/**
 * Takes away what iptables-nft made for our rules: base chains and the table, after our chains are gone. The kernel
 * refuses what holds anything, and iptables-nft a base chain with another policy than ACCEPT, both in the commit
 * itself: nobody's rule can get lost who was faster.
 *
 * @throws {CommandError | UnreadableTableError} when reading or writing fails
 */
export async function unmake(tables: Tables, exec: Exec, family: Family): Promise<Unmade> {
  const made = readMade(await tables.read('nft', family))
  if (made.length === 0) return { removed: [], kept: [] }
  for (const what of made) if (what !== 'table') await removeBase(tables, family, what)
  if (made.includes('table')) {
    const input = Buffer.from(deleteTableMessage(family, markOf('table'))).toString('hex')
    await exec('perl', ['-e', sender], { input })
    // The mark is still there when the table is somebody's.
    const table = await tables.read('nft', family)
    if (table.has(markOf('table'))) await restore(tables, family, `-X ${markOf('table')}`)
  }
  const present = await readPresent(exec, family)
  return {
    removed: made.filter((what) => !present.has(what)),
    kept: made.filter((what) => present.has(what)),
  }
}

async function removeBase(tables: Tables, family: Family, base: Made): Promise<void> {
  const unmark = `-X ${markOf(base)}`
  try {
    await restore(tables, family, `${unmark}\n-X ${base}`)
  } catch (error) {
    if (!(error instanceof OutsideError) || error.wasKilled) throw error
    // It is in use, it is gone already, or this iptables is older than 1.8.8, which never removes one.
    await restore(tables, family, unmark)
  }
}

async function restore(tables: Tables, family: Family, lines: string): Promise<void> {
  await tables.restore('nft', family, `*filter\n${lines}\nCOMMIT\n`)
}
