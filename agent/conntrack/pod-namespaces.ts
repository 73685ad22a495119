import ipaddr from 'ipaddr.js'
import type { Exec } from '../host/exec.ts'
import { familyOfText } from '../ruleset/address.ts'
import { printedBy } from './printed.ts'

/** Finds processes, one in each network namespace that holds some of the addresses, and which of them it holds. */
export type FindNamespaces = (
  addresses: ReadonlySet<string>,
) => Promise<ReadonlyMap<number, ReadonlySet<string>>>

/** Looks among all namespaces of the processes that can be seen, for which /proc has to be the node's own. */
export function createFindNamespaces(exec: Exec): FindNamespaces {
  return async (addresses) => {
    const { stdout } = await exec('lsns', ['--type', 'net', '--noheadings', '--output', 'PID'])
    return holdersOf(
      exec,
      addresses,
      stdout
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 0),
    )
  }
}

/** Of an agent that sees no processes but its own, and may enter no namespace. */
export const noNamespaces: FindNamespaces = async () => new Map()

/** Of these processes those whose network namespace has some of the addresses, or a route to one of them. */
export async function holdersOf(
  exec: Exec,
  addresses: ReadonlySet<string>,
  pids: readonly number[],
): Promise<ReadonlyMap<number, ReadonlySet<string>>> {
  const holders = new Map<number, Set<string>>()
  if (addresses.size === 0 || pids.length === 0) return holders
  const written = new Map([...addresses].map((address) => [inProc(address), address]))
  const files = pids.flatMap((pid) => [`/proc/${pid}/net/fib_trie`, `/proc/${pid}/net/if_inet6`])
  const options = ['--only-matching', '--with-filename', '--no-messages', '--word-regexp', '--fixed-strings']
  const input = `${[...written.keys()].join('\n')}\n`
  // It fails where it finds nothing, and where a process has ended meanwhile.
  const stdout = await printedBy(exec, 'grep', [...options, '--file=-', ...files], input)
  for (const [, pid, text = ''] of stdout.matchAll(/^\/proc\/(\d+)\/net\/\w+:(.*)$/gm)) {
    const held = holders.get(Number(pid)) ?? new Set()
    holders.set(Number(pid), held.add(written.get(text) ?? text))
  }
  return holders
}

/** fib_trie has addresses as usual, if_inet6 their 16 bytes in hex. */
function inProc(address: string): string {
  if (familyOfText(address) === 'ipv4') return address
  return Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')
}
