import { endianness } from 'node:os'
import { parseCidr } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'

/** A file in /proc/<pid>/net. */
export type SocketTable = 'tcp' | 'tcp6' | 'udp' | 'udp6'

/** A socket that waits for connections or datagrams from anybody. */
export type Listening = {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** An IPv6 socket without an address takes IPv4 too, as a rule; whether it does is not told here. */
  readonly family: Family
  /** Absent when it listens on all addresses. */
  readonly address?: string
  readonly inode: number
  /** Known only when it was asked for. */
  readonly process?: string
}

/**
 * Reads the lines of a socket table, its head included. A UDP socket that is connected listens to one peer only, and
 * is left out as established TCP connections are.
 */
export function parseSockets(
  lines: readonly string[],
  table: SocketTable,
  order = endianness(),
): Listening[] {
  return lines.flatMap((line) => {
    const { address, port, inode } = ROW.exec(line)?.groups ?? {}
    if (address === undefined || port === undefined || !isListening(line, table)) return []
    return [
      {
        protocol: table.startsWith('tcp') ? ('tcp' as const) : ('udp' as const),
        port: Number.parseInt(port, 16),
        inode: Number(inode),
        ...readAddress(address, order),
      },
    ]
  })
}

/** Whether a line of a table shows a socket in the state LISTEN (TCP), or one that has no peer (UDP). */
export function isListening(line: string, table: SocketTable): boolean {
  return ROW.exec(line)?.groups?.['state'] === (table.startsWith('tcp') ? '0A' : '07')
}

/** sl, local_address, rem_address, st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout, inode */
const ROW =
  /^ *\d+: (?<address>[0-9A-F]{8}|[0-9A-F]{32}):(?<port>[0-9A-F]{4}) \S+ (?<state>[0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (?<inode>\d+)/

/** Addresses are printed as 32-bit words in the order of the machine's bytes. */
function readAddress(hex: string, order: 'LE' | 'BE'): Pick<Listening, 'family' | 'address'> {
  const words = hex.match(/.{8}/g) ?? []
  const bytes = words.flatMap((word) => {
    const inOrder = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))
    return order === 'LE' ? inOrder.toReversed() : inOrder
  })
  if (bytes.length === 4) return withAddress('ipv4', bytes.join('.'), bytes)
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  if (mapped) return withAddress('ipv4', bytes.slice(12).join('.'), bytes.slice(12))
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16),
  )
  return withAddress('ipv6', groups.join(':'), bytes)
}

function withAddress(
  family: Family,
  text: string,
  bytes: readonly number[],
): Pick<Listening, 'family' | 'address'> {
  return bytes.every((byte) => byte === 0) ? { family } : { family, address: parseCidr(text).address }
}
