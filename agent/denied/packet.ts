import ipaddr from 'ipaddr.js'
import type { Family } from '../ruleset/address.ts'
import { hasPorts, protocolNumbers } from '../ruleset/protocol.ts'

/** Where a packet comes from and goes to, as far as its headers were there to be read. */
export type Packet = {
  readonly family: Family
  readonly from: string
  readonly to: string
  /** The number of what stands behind the IP header and its extensions. */
  readonly protocol: number
  /** Absent: the protocol has none, or its header is not in this packet, as in all but the first fragment. */
  readonly fromPort?: number
  readonly port?: number
  readonly icmp?: { readonly type: number; readonly code: number }
}

/**
 * Reads the start of an IP packet (RFC 791, RFC 8200), as it comes from anybody: what is cut off or makes no sense is
 * absent, and without both addresses there is nothing.
 */
export function readPacket(bytes: Buffer): Packet | undefined {
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4) return readIpv4(bytes)
  if (version === 6) return readIpv6(bytes)
  return undefined
}

function readIpv4(bytes: Buffer): Packet | undefined {
  const headerLength = ((bytes[0] ?? 0) & 0x0f) * 4
  if (bytes.length < 20 || headerLength < 20) return undefined
  const isFirst = (bytes.readUInt16BE(6) & 0x1fff) === 0
  const packet = {
    family: 'ipv4',
    from: printAddress(bytes.subarray(12, 16)),
    to: printAddress(bytes.subarray(16, 20)),
    protocol: bytes.readUInt8(9),
  } as const
  return isFirst ? { ...packet, ...readTransport(packet.protocol, bytes.subarray(headerLength)) } : packet
}

function readIpv6(bytes: Buffer): Packet | undefined {
  if (bytes.length < 40) return undefined
  const { protocol, rest } = skipExtensions(bytes.readUInt8(6), bytes.subarray(40))
  return {
    family: 'ipv6',
    from: printAddress(bytes.subarray(8, 24)),
    to: printAddress(bytes.subarray(24, 40)),
    protocol,
    ...(rest === undefined ? {} : readTransport(protocol, rest)),
  }
}

/** Hop-by-hop options, routing, destination options, mobility, HIP, Shim6: they say their length alike (RFC 6564). */
const extensions: ReadonlySet<number> = new Set([0, 43, 60, 135, 139, 140])
const fragment = 44
/** A sender may chain as many as fit; the kernel gives us 128 bytes. */
const mostExtensions = 16

/** What stands behind the extension headers; `rest` is absent where it is not in this packet. */
function skipExtensions(first: number, bytes: Buffer): { protocol: number; rest?: Buffer } {
  let protocol = first
  let rest = bytes
  for (let count = 0; count < mostExtensions; count += 1) {
    const isFragment = protocol === fragment
    if (!isFragment && protocol !== protocolNumbers.ah && !extensions.has(protocol)) return { protocol, rest }
    const [next, length] = rest
    if (next === undefined || length === undefined) return { protocol }
    if (isFragment && rest.length >= 4 && (rest.readUInt16BE(2) & 0xfff8) !== 0) return { protocol: next }
    // AH counts words of 4 bytes without the first two (RFC 4302), the others words of 8 without the first.
    const skipped = isFragment ? 8 : protocol === protocolNumbers.ah ? (length + 2) * 4 : (length + 1) * 8
    protocol = next
    rest = rest.subarray(skipped)
  }
  return { protocol }
}

/** UDP-Lite and DCCP begin with two ports as well. */
const alsoHavePorts: ReadonlySet<number> = new Set([33, 136])

function readTransport(protocol: number, bytes: Buffer): Pick<Packet, 'fromPort' | 'port' | 'icmp'> {
  if (hasPorts(protocol) || alsoHavePorts.has(protocol)) {
    return bytes.length < 4 ? {} : { fromPort: bytes.readUInt16BE(0), port: bytes.readUInt16BE(2) }
  }
  const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6
  if (!isIcmp || bytes.length < 2) return {}
  return { icmp: { type: bytes.readUInt8(0), code: bytes.readUInt8(1) } }
}

/** An address of 4 or 16 bytes, as RFC 5952 has it. */
export function printAddress(bytes: Buffer): string {
  const address = ipaddr.fromByteArray([...bytes])
  return address instanceof ipaddr.IPv4 ? address.toString() : address.toRFC5952String()
}
