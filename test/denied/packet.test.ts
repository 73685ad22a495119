import fc from 'fast-check'
import { isIP } from 'node:net'
import { expect, test } from 'vitest'
import { readPacket } from '../../agent/denied/packet.ts'
import { authentication, extension, fragment, ipv4, ipv6, ports } from './packets.ts'

const tcp = ports(40_000, 22)
const v4 = { family: 'ipv4', from: '192.0.2.1', to: '198.51.100.2' }
const v6 = { family: 'ipv6', from: '2001:db8::1', to: '2001:db8:1::2' }
const toSsh = { protocol: 6, fromPort: 40_000, port: 22 }
const icmpError = Buffer.concat([Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]), ipv4(6, tcp)])

test.each([
  ['TCP over IPv4', ipv4(6, tcp), { ...v4, ...toSsh }],
  ['with options of IPv4', ipv4(6, tcp, { options: 8 }), { ...v4, ...toSsh }],
  ['TCP over IPv6', ipv6(6, tcp), { ...v6, ...toSsh }],
  ['SCTP', ipv4(132, tcp), { ...v4, ...toSsh, protocol: 132 }],
  ['a protocol without ports', ipv4(47, tcp), { ...v4, protocol: 47 }],
  ['the first fragment', ipv4(6, tcp, { offset: 0x2000 }), { ...v4, ...toSsh }],
  ['another fragment', ipv4(6, tcp, { offset: 0x2010 }), { ...v4, protocol: 6 }],
  ['the first fragment of IPv6', ipv6(44, fragment(6, 0, tcp)), { ...v6, ...toSsh }],
  ['another fragment of IPv6', ipv6(44, fragment(6, 185, tcp)), { ...v6, protocol: 6 }],
  [
    'extension headers of IPv6',
    ipv6(0, extension(43, extension(60, extension(6, tcp, 1), 2))),
    { ...v6, ...toSsh },
  ],
  ['AH', ipv6(51, authentication(6, tcp)), { ...v6, ...toSsh }],
  ['an extension header that is cut off', ipv6(0, Buffer.from([6])), { ...v6, protocol: 0 }],
  [
    'one that is longer than the packet',
    ipv6(0, Buffer.concat([Buffer.from([6, 200]), tcp, tcp])),
    { ...v6, protocol: 6 },
  ],
  ['no next header', ipv6(59, tcp), { ...v6, protocol: 59 }],
  ['ICMP echo', ipv4(1, Buffer.from([8, 0, 0, 0])), { ...v4, protocol: 1, icmp: { type: 8, code: 0 } }],
  [
    'an ICMP error, which holds another packet',
    ipv4(1, icmpError),
    { ...v4, protocol: 1, icmp: { type: 3, code: 1 } },
  ],
  ['ICMPv6', ipv6(58, Buffer.from([128, 0])), { ...v6, protocol: 58, icmp: { type: 128, code: 0 } }],
  ['ports that are cut off', ipv4(6, tcp.subarray(0, 3)), { ...v4, protocol: 6 }],
  ['no bytes behind the header', ipv4(6, Buffer.alloc(0)), { ...v4, protocol: 6 }],
])('%s', (_, bytes, expected) => {
  expect(readPacket(bytes)).toEqual(expected)
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['a header of IPv4 that is cut off', ipv4(6, tcp).subarray(0, 19)],
  [
    'a header of IPv4 that says it is too short',
    Buffer.concat([Buffer.from([0x44]), ipv4(6, tcp).subarray(1)]),
  ],
  ['a header of IPv6 that is cut off', ipv6(6, tcp).subarray(0, 39)],
  ['another version', Buffer.alloc(60, 0x50)],
])('not readable: %s', (_, bytes) => {
  expect(readPacket(bytes)).toBeUndefined()
})

/** Bytes that begin as a packet does, and go on as they like. */
const hostile = fc
  .tuple(
    fc.constantFrom(0x40, 0x45, 0x4f, 0x60, 0),
    fc.uint8Array({ maxLength: 140 }),
    fc.constantFrom(0, 43, 44, 51, 60, 6, 58),
  )
  .map(([first, bytes, next]) => {
    const packet = Buffer.concat([Buffer.from([first]), bytes])
    if (packet.length > 6) packet[6] = next
    return packet
  })

test('whatever comes, reading ends, and finds addresses and numbers that can be', () => {
  fc.assert(
    fc.property(hostile, (bytes) => {
      const packet = readPacket(bytes)
      if (packet === undefined) return
      const { from, to, family, protocol, port = 0, fromPort = 0 } = packet
      expect([isIP(from), isIP(to)]).toEqual(family === 'ipv4' ? [4, 4] : [6, 6])
      expect(Math.max(port, fromPort)).toBeLessThan(65_536)
      expect(protocol).toBeLessThan(256)
    }),
    { numRuns: 2_000 },
  )
})

test('what is cut off takes away, and changes nothing of what is left', () => {
  const whole = fc.constantFrom(
    ipv4(6, tcp),
    ipv6(0, extension(6, tcp)),
    ipv6(44, fragment(17, 0, tcp)),
    ipv4(1, icmpError),
  )
  fc.assert(
    fc.property(whole, fc.nat(80), (bytes, length) => {
      const { protocol: _, ...cut } = readPacket(bytes.subarray(0, length)) ?? { protocol: 0 }
      expect(readPacket(bytes)).toMatchObject(cut)
    }),
  )
})
