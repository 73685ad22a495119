import { checksum } from './packet.ts'

/**
 * A piece of a packet's payload: the byte at which it begins, a multiple of 8, the one at which it ends, and for overlaps
 * other bytes than the packet has there.
 */
export type Piece = readonly [from: number, to: number, bytes?: Uint8Array]

/**
 * Cuts a packet that `packet` has made into pieces, in the order given; the one with the last byte of the payload ends
 * the series. The header of IPv4, with its options, is repeated in each; so is that of IPv6, without extensions.
 */
export function fragments(whole: Buffer, pieces: readonly Piece[], identification = 1): Buffer[] {
  const isIpv4 = whole.readUInt8(0) >> 4 === 4
  const start = isIpv4 ? (whole.readUInt8(0) & 0x0f) * 4 : 40
  const header = whole.subarray(0, start)
  const payload = whole.subarray(start)
  return pieces.map(([from, to, bytes = payload.subarray(from, to)]) => {
    const more = to < payload.length
    return isIpv4
      ? ipv4Fragment(header, bytes, { offset: from, more, identification })
      : ipv6Fragment(header, bytes, { offset: from, more, identification })
  })
}

type Place = { readonly offset: number; readonly more: boolean; readonly identification: number }

function ipv4Fragment(whole: Buffer, bytes: Uint8Array, { offset, more, identification }: Place): Buffer {
  const header = Buffer.from(whole)
  header.writeUInt16BE(header.length + bytes.length, 2)
  header.writeUInt16BE(identification, 4)
  header.writeUInt16BE((more ? 0x20_00 : 0) | (offset / 8), 6)
  header.writeUInt16BE(0, 10)
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, bytes])
}

/** RFC 8200, section 4.5. */
function ipv6Fragment(whole: Buffer, bytes: Uint8Array, { offset, more, identification }: Place): Buffer {
  const header = Buffer.from(whole)
  const fragment = Buffer.from([header.readUInt8(6), 0, 0, 0, 0, 0, 0, 0])
  fragment.writeUInt16BE(offset | (more ? 1 : 0), 2)
  fragment.writeUInt32BE(identification, 4)
  header[6] = 44
  header.writeUInt16BE(fragment.length + bytes.length, 4)
  return Buffer.concat([header, fragment, bytes])
}
