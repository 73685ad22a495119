import type { Exec } from '../host/exec.ts'
import { deleteMessage } from './delete-message.ts'
import type { Entry } from './entry.ts'

/**
 * Sends netlink messages, one in hex a line, to the netfilter of the namespace it runs in (AF_NETLINK, SOCK_RAW,
 * NETLINK_NETFILTER). Node.js has no netlink sockets; Debian has perl in every image, its package is essential.
 */
const sender =
  'socket(my $s,16,3,12)or die"$!\\n";while(<STDIN>){chomp;syswrite($s,pack("H*",$_))//die"$!\\n"}'

/**
 * Deletes entries of conntrack, and no others. `conntrack -D` would read the whole table for each one of them, 290
 * ms where it holds 100,000. Whether they are gone, the next listing tells.
 *
 * @throws {OutsideError} when it could not be tried
 */
export async function deleteEntries(exec: Exec, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) return
  const input = entries.map((entry) => `${Buffer.from(deleteMessage(entry)).toString('hex')}\n`).join('')
  await exec('perl', ['-e', sender], { input })
}
