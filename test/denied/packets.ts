/** Headers of packets, to be put together. */

export function ipv4(protocol: number, rest: Buffer, { offset = 0, options = 0 } = {}): Buffer {
  const header = Buffer.alloc(20 + options)
  header[0] = 0x40 | (header.length / 4)
  header.writeUInt16BE(header.length + rest.length, 2)
  header.writeUInt16BE(offset, 6)
  header[9] = protocol
  header.set([192, 0, 2, 1, 198, 51, 100, 2], 12)
  return Buffer.concat([header, rest])
}

export function ipv6(next: number, rest: Buffer): Buffer {
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header.writeUInt16BE(rest.length, 4)
  header[6] = next
  header.set(Buffer.from('20010db8000000000000000000000001', 'hex'), 8)
  header.set(Buffer.from('20010db8000100000000000000000002', 'hex'), 24)
  return Buffer.concat([header, rest])
}

/** An extension header of IPv6 that is so many words of 8 bytes longer than the least. */
export function extension(next: number, rest: Buffer, words = 0): Buffer {
  const header = Buffer.alloc(8 + words * 8)
  header.set([next, words])
  return Buffer.concat([header, rest])
}

export function fragment(next: number, offset: number, rest: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header[0] = next
  header.writeUInt16BE(offset * 8 + 1, 2)
  return Buffer.concat([header, rest])
}

/** AH of 24 bytes, as most are. */
export function authentication(next: number, rest: Buffer): Buffer {
  return Buffer.concat([Buffer.from([next, 4]), Buffer.alloc(22), rest])
}

/** The first bytes of TCP, UDP and SCTP. */
export function ports(from: number, to: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16BE(from, 0)
  bytes.writeUInt16BE(to, 2)
  return bytes
}

/** An attribute of netlink. */
export function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(4 + value.length, 0)
  head.writeUInt16LE(type, 2)
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)])
}

export function number(value: number, length: 1 | 2 | 4): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}
