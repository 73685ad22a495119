import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSockets } from '../../agent/host/sockets.ts'
import type { Listening, SocketTable } from '../../agent/host/sockets.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'

/** A line as the kernel prints it. */
function row(local: string, state: string, inode = 677_732, slot = 0): string {
  const queues = '00000000:00000000 00:00000000 00000000     0        0'
  return `${String(slot).padStart(5)}: ${local} 00000000:0000 ${state} ${queues} ${inode} 1 0000000043656b79 100 0 0 10 0`
}

describe('a line of a socket table', () => {
  test.each<[string, SocketTable, string, Partial<Listening>[]]>([
    ['TCP on loopback', 'tcp', row('0100007F:2808', '0A'), [{ port: 10_248, address: '127.0.0.1' }]],
    ['TCP on all addresses', 'tcp', row('00000000:280A', '0A'), [{ port: 10_250, family: 'ipv4' }]],
    ['TCP on one address', 'tcp', row('0C00580A:0050', '0A'), [{ port: 80, address: '10.88.0.12' }]],
    [
      'TCP on all IPv6 addresses',
      'tcp6',
      row('00000000000000000000000000000000:280A', '0A'),
      [{ port: 10_250, family: 'ipv6' }],
    ],
    [
      'TCP on one IPv6 address',
      'tcp6',
      row('000000FD000000000000000005000000:14E9', '0A'),
      [{ port: 5353, family: 'ipv6', address: 'fd00::5' }],
    ],
    [
      'TCP on an IPv4 address in an IPv6 socket',
      'tcp6',
      row('0000000000000000FFFF00000100007F:1F90', '0A'),
      [{ port: 8080, family: 'ipv4', address: '127.0.0.1' }],
    ],
    ['UDP without a peer', 'udp', row('00000000:0035', '07', 677_732, 4833), [{ protocol: 'udp', port: 53 }]],
    ['UDP with a peer', 'udp', row('0100007F:AE9C', '01'), []],
    ['an established connection', 'tcp', row('0C00580A:A702', '01'), []],
    ['a connection that was closed', 'tcp', row('0C00580A:A702', '06'), []],
    ['a UDP socket in a state of TCP', 'udp', row('00000000:0035', '0A'), []],
    ['the head', 'tcp', head, []],
    ['nothing', 'tcp', '', []],
  ])('%s', (_, table, line, expected) => {
    const found = parseSockets([line], table, 'LE')
    expect(found).toMatchObject(expected)
    expect(found).toHaveLength(expected.length)
  })

  test('on all addresses there is no address', () => {
    expect(parseSockets([row('00000000:280A', '0A', 7)], 'tcp', 'LE')).toEqual([
      { protocol: 'tcp', port: 10_250, family: 'ipv4', inode: 7 },
    ])
  })
})

const byte = fc.integer({ min: 0, max: 255 })
const table = fc.constantFrom<SocketTable[]>('tcp', 'tcp6', 'udp', 'udp6')
const socket = table.chain((name) => {
  const length = name.endsWith('6') ? 16 : 4
  return fc.record({
    name: fc.constant(name),
    bytes: fc.uint8Array({ minLength: length, maxLength: length }),
    port: fc.integer({ min: 1, max: 65_535 }),
    inode: fc.nat(),
    order: fc.constantFrom('LE' as const, 'BE' as const),
    slot: byte,
  })
})

test('property: what the kernel prints of a socket is read back, in both orders of bytes', () => {
  fc.assert(
    fc.property(socket, ({ name, bytes, port, inode, order, slot }) => {
      // A random IPv6 address is no IPv4-mapped one.
      fc.pre(bytes.length === 4 || bytes.some((value, at) => at < 10 && value !== 0))
      const state = name.startsWith('tcp') ? '0A' : '07'
      const line = row(`${print(bytes, order)}:${hex(port, 4)}`, state, inode, slot)
      const [found] = parseSockets([head, line], name, order)
      const text =
        bytes.length === 4
          ? bytes.join('.')
          : Array.from({ length: 8 }, (_, at) => print(bytes.slice(2 * at, 2 * at + 2), 'BE')).join(':')
      const address = bytes.every((value) => value === 0) ? {} : { address: parseCidr(text).address }
      expect(found).toEqual({
        protocol: name.slice(0, 3),
        port,
        inode,
        family: bytes.length === 4 ? 'ipv4' : 'ipv6',
        ...address,
      })
    }),
  )
})

test('property: no line at all makes it fail', () => {
  const hexText = fc.stringMatching(/^[0-9A-F]{0,40}$/)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        hexText.map((text) => row(text, '0A')),
      ),
      table,
      (line, name) => {
        expect(parseSockets([line], name).length).toBeLessThan(2)
      },
    ),
  )
})

/** Words of 32 bits, each in the order of the machine. */
function print(bytes: Uint8Array, order: 'LE' | 'BE'): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    const word = Array.from(bytes.slice(at, at + 4), (value) => hex(value, 2))
    text += (order === 'LE' ? word.toReversed() : word).join('')
  }
  return text
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
