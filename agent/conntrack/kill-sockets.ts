import type { Exec } from '../host/exec.ts'
import { keyOf } from './entry.ts'
import type { Entry, Tuple } from './entry.ts'

/** ss(8) takes its filter from a file without a limit of length, but the program it makes of it has one. */
const perProcess = 200

/** Protocols that ss(8) has sockets of, with its option for each. */
const protocols = [
  { number: 6, option: '-t' },
  { number: 17, option: '-u' },
] as const

/**
 * Closes the sockets of connections whose end is in the namespace that `exec` runs in; their peers get a reset.
 * Without a socket nothing is sent that could bring a deleted entry back. Only sockets that know their peer are
 * found: no listening one, and no UDP server's that serves all. A kernel without INET_DIAG_DESTROY closes none.
 *
 * @param isHere whether an address is of the namespace
 * @returns the connections whose socket was closed
 * @throws {OutsideError} when ss(8) fails
 */
export async function killSockets(
  exec: Exec,
  entries: readonly Entry[],
  isHere: (address: string) => boolean,
): Promise<Set<Entry>> {
  const killed = new Set<Entry>()
  for (const { number, option } of protocols) {
    const ends = new Map<string, { readonly entry: Entry; readonly end: Tuple }>()
    for (const entry of entries.filter(({ protocol }) => protocol === number)) {
      for (const end of endsOf(entry)) if (isHere(end.src)) ends.set(keyOf(number, end), { entry, end })
    }
    const filters = [...ends.values()].map(({ end }) => filterOf(end))
    for (let start = 0; start < filters.length; start += perProcess) {
      const input = `${filters.slice(start, start + perProcess).join('\nor\n')}\n`
      const { stdout } = await exec('ss', ['-K', '-H', '-n', option, '-F', '-'], { input })
      for (const line of stdout.split('\n')) {
        const found = ends.get(keyOf(number, readSocket(line)))
        if (found !== undefined) killed.add(found.entry)
      }
    }
  }
  return killed
}

/** How sockets see the connection: that of the end that opened it, and that of the one that answers. */
function endsOf({ orig, reply, state }: Entry): Tuple[] {
  return state === 'TIME_WAIT' || state === 'CLOSE' ? [] : [orig, reply]
}

function filterOf({ src, dst, sport, dport }: Tuple): string {
  return `( src ${bracketed(src)} sport = :${sport} dst ${bracketed(dst)} dport = :${dport} )`
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

/** `ESTAB 0 0 [::ffff:10.0.0.2]:80 10.0.0.1:1000`, where an address can have its interface: `%eth0`. */
function readSocket(line: string): Tuple {
  const [, , , local = '', peer = ''] = line.split(/\s+/)
  const [src, sport] = splitPort(local)
  const [dst, dport] = splitPort(peer)
  return { src, dst, sport, dport }
}

function splitPort(text: string): [string, number] {
  const colon = text.lastIndexOf(':')
  const address = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return [address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, ''), Number(text.slice(colon + 1))]
}
