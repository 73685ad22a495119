import ipaddr from 'ipaddr.js'

/** What is sent to a port, or in the case of ICMP just sent: the header of the transport and what follows. */
export type Transport = {
  readonly protocol: number
  readonly bytes: Buffer
  /** Where in `bytes` the checksum stands, which covers the addresses too, except in ICMP of IPv4. */
  readonly checksumAt: number
}

export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'PSH' | 'ACK' | 'URG'

export type PacketSetting = {
  readonly source: string
  readonly destination: string
  readonly transport: Transport
  /** Options of IPv4 as in RFC 791, filled up to a multiple of 4 bytes. */
  readonly options?: readonly number[]
  /** Headers of IPv6 between its own and the transport's, see `ipv6Header`. */
  readonly extensions?: readonly Extension[]
  readonly identification?: number
  /** Added to the right checksum of the transport: anything but 0 makes it wrong. */
  readonly checksumError?: number
}

/** An extension header: its number and its bytes, the first of which (the next header's number) is filled in. */
export type Extension = { readonly protocol: number; readonly bytes: readonly number[] }

const tcpFlags: readonly TcpFlag[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

/** A TCP segment, RFC 9293. Without flags it is a NULL scan's. */
export function tcp(
  sourcePort: number,
  port: number,
  flags: readonly TcpFlag[],
  data: Uint8Array | string = '',
): Transport {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(sourcePort, 0)
  header.writeUInt16BE(port, 2)
  header.writeUInt32BE(1_000_000, 4)
  if (flags.includes('ACK')) header.writeUInt32BE(2_000_000, 8)
  header[12] = (header.length / 4) << 4
  header[13] = flags.reduce((bits, flag) => bits | (1 << tcpFlags.indexOf(flag)), 0)
  header.writeUInt16BE(64_240, 14)
  return { protocol: 6, bytes: Buffer.concat([header, Buffer.from(data)]), checksumAt: 16 }
}

/** A datagram, RFC 768. */
export function udp(sourcePort: number, port: number, data: Uint8Array | string): Transport {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(sourcePort, 0)
  header.writeUInt16BE(port, 2)
  header.writeUInt16BE(8 + Buffer.byteLength(data), 4)
  return { protocol: 17, bytes: Buffer.concat([header, Buffer.from(data)]), checksumAt: 6 }
}

/** A message of ICMP (RFC 792) or, for IPv6, ICMPv6 (RFC 4443); `rest` is what follows the checksum. */
export function icmp(
  family: 'ipv4' | 'ipv6',
  type: number,
  code: number,
  rest: readonly number[],
): Transport {
  return {
    protocol: family === 'ipv4' ? 1 : 58,
    bytes: Buffer.from([type, code, 0, 0, ...rest]),
    checksumAt: 2,
  }
}

/** A whole packet, of the family that its addresses have, with right lengths and checksums. */
export function packet(setting: PacketSetting): Buffer {
  const { extensions = [], transport } = setting
  const payload = withChecksum(setting)
  if (!setting.destination.includes(':')) return Buffer.concat([ipv4Header(setting, payload.length), payload])
  const following = chain(extensions, transport.protocol)
  const length = following.bytes.length + payload.length
  return Buffer.concat([ipv6Header(setting, following.protocol, length), following.bytes, payload])
}

/** The 40 bytes of RFC 8200; `length` is that of all that follows. */
export function ipv6Header(
  { source, destination }: Pick<PacketSetting, 'source' | 'destination'>,
  next: number,
  length: number,
): Buffer {
  const header = Buffer.from([0x60, 0, 0, 0, 0, 0, next, 64])
  header.writeUInt16BE(length, 4)
  return Buffer.concat([header, addressBytes(source), addressBytes(destination)])
}

/** Extension headers one after the other, each with the number of what comes after it. */
export function chain(extensions: readonly Extension[], last: number) {
  const numbers = [...extensions.map(({ protocol }) => protocol), last]
  const bytes = extensions.map((extension, index) => [
    numbers[index + 1] ?? last,
    ...extension.bytes.slice(1),
  ])
  return { protocol: numbers[0] ?? last, bytes: Buffer.from(bytes.flat()) }
}

function ipv4Header(
  { source, destination, transport, options = [], identification = 1 }: PacketSetting,
  length: number,
) {
  const padded = [...options, ...Array.from({ length: (4 - (options.length % 4)) % 4 }, () => 0)]
  const header = Buffer.alloc(20 + padded.length)
  header[0] = 0x40 | (header.length / 4)
  header.writeUInt16BE(header.length + length, 2)
  header.writeUInt16BE(identification, 4)
  header[8] = 64
  header[9] = transport.protocol
  addressBytes(source).copy(header, 12)
  addressBytes(destination).copy(header, 16)
  Buffer.from(padded).copy(header, 20)
  header.writeUInt16BE(checksum(header), 10)
  return header
}

function withChecksum({ source, destination, transport, checksumError = 0 }: PacketSetting): Buffer {
  const { protocol, bytes, checksumAt } = transport
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  const addresses = [
    addressBytes(source),
    addressBytes(destination),
    length,
    Buffer.from([0, 0, 0, protocol]),
  ]
  const sum = checksum(Buffer.concat(protocol === 1 ? [bytes] : [...addresses, bytes]))
  const result = Buffer.from(bytes)
  result.writeUInt16BE((sum + checksumError) & 0xff_ff, checksumAt)
  return result
}

/** The checksum of the internet, RFC 1071: 16-bit words added up, with the carry, and turned around. */
export function checksum(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)])
  let sum = 0
  for (let offset = 0; offset < even.length; offset += 2) sum += even.readUInt16BE(offset)
  while (sum > 0xff_ff) sum = (sum & 0xff_ff) + Math.floor(sum / 0x1_00_00)
  return ~sum & 0xff_ff
}

function addressBytes(address: string): Buffer {
  return Buffer.from(ipaddr.parse(address).toByteArray())
}
