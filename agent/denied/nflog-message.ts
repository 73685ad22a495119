import { parseLogPrefix } from '../netfilter/log-text.ts'
import { describePacket, plainInterface } from './logged.ts'
import type { Logged } from './logged.ts'
import { printAddress, readPacket } from './packet.ts'
import type { Packet } from './packet.ts'

/** What one message of NFLOG says. */
export type NflogMessage = {
  /** Counts the packets of the group since the reader bound it, those too that were lost on the way. */
  readonly sequence?: number | undefined
  /** Absent: somebody else's rule sent it to our group. */
  readonly logged?: Logged
}

/** Attributes (nfnetlink_log.h): NFULA_*, and of NFULA_CT those of a connection (nfnetlink_conntrack.h): CTA_*. */
const attribute = { header: 1, payload: 9, prefix: 10, sequence: 12, connection: 18 } as const
const tuple = { original: 1, ip: 1, protocol: 2 } as const
const ofIp = { v4Source: 1, v4Destination: 2, v6Source: 3, v6Destination: 4 } as const
const ofProtocol = { number: 1, sourcePort: 2, destinationPort: 3 } as const

/** A VLAN tag is still there where a bridge hands its packets to iptables (bridge-nf-filter-vlan-tagged). */
const vlanTags: ReadonlySet<number> = new Set([0x8100, 0x88a8])

/**
 * Reads a line of the reader: the message in hex from its nfgenmsg on, and in hex the names of the interfaces. What was
 * cut off, or makes no sense, is absent; nothing for what is no such line.
 */
export function readNflogLine(line: string): NflogMessage | undefined {
  const [, message, input = '', output = ''] =
    /^packet ((?:[0-9a-f]{2})*),((?:[0-9a-f]{2})*),((?:[0-9a-f]{2})*)$/.exec(line) ?? []
  if (message === undefined) return undefined
  // Of nfgenmsg only the group's number would follow.
  const attributes = readAttributes(Buffer.from(message, 'hex').subarray(4))
  const sequence = readNumber(attributes.get(attribute.sequence), 4)
  const name = parseLogPrefix(attributes.get(attribute.prefix)?.toString('latin1').split('\0', 1)[0] ?? '')
  if (name === undefined) return { sequence }
  const packet = readPacket(withoutTags(attributes))
  return {
    sequence,
    logged: {
      ...name,
      ...(packet === undefined ? {} : describePacket(packet)),
      ...(packet === undefined ? {} : findDialled(packet, attributes.get(attribute.connection))),
      in: readName(input),
      out: readName(output),
    },
  }
}

function readName(hex: string): string | undefined {
  return plainInterface(Buffer.from(hex, 'hex').toString('latin1'))
}

/** Attributes of netlink (netlink(7)): length, type, value, in the machine's byte order, padded to 4 bytes. */
function readAttributes(bytes: Buffer | undefined): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>()
  if (bytes === undefined) return found
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(at)
    if (length < 4) break
    // Two bits say how the value is written, not what it is.
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length))
    at += (length + 3) & ~3
  }
  return found
}

function readNumber(bytes: Buffer | undefined, length: 1 | 2 | 4): number | undefined {
  return bytes === undefined || bytes.length < length ? undefined : bytes.readUIntBE(0, length)
}

function withoutTags(attributes: ReadonlyMap<number, Buffer>): Buffer {
  let rest = attributes.get(attribute.payload) ?? Buffer.alloc(0)
  let type = readNumber(attributes.get(attribute.header), 2)
  while (type !== undefined && vlanTags.has(type)) {
    type = readNumber(rest.subarray(2), 2)
    rest = rest.subarray(4)
  }
  return rest
}

/** What conntrack says that the client dialled, of a packet that this node has translated. */
function findDialled(packet: Packet, connection: Buffer | undefined): Partial<Logged> {
  const original = readAttributes(readAttributes(connection).get(tuple.original))
  const addresses = readAttributes(original.get(tuple.ip))
  const ports = readAttributes(original.get(tuple.protocol))
  const [source, destination] =
    packet.family === 'ipv4' ? [ofIp.v4Source, ofIp.v4Destination] : [ofIp.v6Source, ofIp.v6Destination]
  const isOfPacket =
    readAddress(addresses.get(source), packet.family) === packet.from &&
    readNumber(ports.get(ofProtocol.number), 1) === packet.protocol &&
    readNumber(ports.get(ofProtocol.sourcePort), 2) === packet.fromPort
  const to = readAddress(addresses.get(destination), packet.family)
  if (!isOfPacket || to === undefined) return {}
  const port = packet.port === undefined ? undefined : readNumber(ports.get(ofProtocol.destinationPort), 2)
  if (to === packet.to && port === packet.port) return {}
  return { to, ...(port === undefined ? {} : { port }), translated: printDestination(packet) }
}

function readAddress(bytes: Buffer | undefined, family: Packet['family']): string | undefined {
  return bytes?.length === (family === 'ipv4' ? 4 : 16) ? printAddress(bytes) : undefined
}

function printDestination({ family, to, port }: Packet): string {
  if (port === undefined) return to
  return family === 'ipv4' ? `${to}:${port}` : `[${to}]:${port}`
}
