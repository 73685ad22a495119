import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readNflogLine } from '../../agent/denied/nflog-message.ts'
import { attribute, ipv4, ipv6, number, ports } from './packets.ts'

const hex = (text: string) => Buffer.from(text).toString('hex')
const header = Buffer.from([2, 0, 0x28, 0x1c])
const tcp = ipv4(6, ports(40_000, 8080))

type Given = {
  readonly prefix?: string
  readonly payload?: Buffer
  readonly type?: number
  readonly connection?: Buffer
}

function lineOf({ prefix = 'node-fw drop web/ssh', payload = tcp, type = 0x0800, connection }: Given = {}) {
  const attributes = [
    attribute(1, Buffer.concat([number(type, 2), Buffer.from([1, 0])])),
    attribute(10, Buffer.from(`${prefix}\0`)),
    attribute(9, payload),
    attribute(12, number(7, 4)),
    ...(connection === undefined ? [] : [attribute(18, connection)]),
  ]
  return `packet ${Buffer.concat([header, ...attributes]).toString('hex')},${hex('eth0')},`
}

const logged = {
  verdict: 'drop',
  ruleset: 'web',
  rule: 'ssh',
  protocol: 'tcp',
  from: '192.0.2.1',
  fromPort: 40_000,
  to: '198.51.100.2',
  port: 8080,
  in: 'eth0',
}

type Tuple = {
  readonly from?: number[]
  readonly to?: number[]
  readonly protocol?: number
  readonly port?: number
}

/** What conntrack tells of a connection: the tuple of its first packet. */
function connectionOf({ from = [192, 0, 2, 1], to = [198, 51, 100, 9], protocol = 6, port = 30_080 }: Tuple) {
  const [source, destination] = from.length === 4 ? [1, 2] : [3, 4]
  const ip = [attribute(source, Buffer.from(from)), attribute(destination, Buffer.from(to))]
  const proto = [
    attribute(1, number(protocol, 1)),
    attribute(2, number(40_000, 2)),
    attribute(3, number(port, 2)),
  ]
  const nested = 0x8000
  const original = [attribute(nested | 1, Buffer.concat(ip)), attribute(nested | 2, Buffer.concat(proto))]
  return attribute(nested | 1, Buffer.concat(original))
}

test('a packet as Linux 6.18 tells of it', () => {
  const message = [
    '0200281c08000100080001001c000a006e6f64652d66772064726f7020776f726b65722f737368000800040000000001',
    '1000080000060000000000000000000006000f000304000006001100000e000012001000000000000000000000000000',
    '0800000014000300000000006b01f4d100000000000dba0a08000c000000000008000d0000000001400009004500003c',
    '3aca4000400601f07f0000017f000001dfc0270fa67e8c3400000000a002ffd7fe3000000204ffd70402080af1f641ad',
    '000000000103030a',
  ].join('')
  const line = `packet ${message},6c6f,`
  expect(readNflogLine(line)).toEqual({
    sequence: 0,
    logged: {
      verdict: 'drop',
      ruleset: 'worker',
      rule: 'ssh',
      protocol: 'tcp',
      from: '127.0.0.1',
      fromPort: 57_280,
      to: '127.0.0.1',
      port: 9999,
      in: 'lo',
    },
  })
})

test.each([
  ['a packet', lineOf(), logged],
  [
    'of a rule of no ruleset',
    lineOf({ prefix: 'node-fw reject default egress' }),
    { ...logged, verdict: 'reject', rule: 'default egress', ruleset: undefined },
  ],
  [
    'with a VLAN tag',
    lineOf({ type: 0x8100, payload: Buffer.concat([Buffer.from([0x40, 7, 8, 0]), tcp]) }),
    logged,
  ],
  [
    'with two',
    lineOf({ type: 0x88a8, payload: Buffer.concat([Buffer.from([0x60, 7, 0x81, 0, 0x40, 9, 8, 0]), tcp]) }),
    logged,
  ],
  [
    'of a translated connection',
    lineOf({ connection: connectionOf({}) }),
    { ...logged, to: '198.51.100.9', port: 30_080, translated: '198.51.100.2:8080' },
  ],
  [
    'of one that is not translated',
    lineOf({ connection: connectionOf({ to: [198, 51, 100, 2], port: 8080 }) }),
    { ...logged, translated: undefined },
  ],
  [
    'that is no packet of the connection, such as an error about it',
    lineOf({ connection: connectionOf({ from: [192, 0, 2, 77] }) }),
    { ...logged, translated: undefined },
  ],
  [
    'of another protocol than the connection',
    lineOf({ connection: connectionOf({ protocol: 17 }) }),
    { ...logged, translated: undefined },
  ],
  [
    'a packet that cannot be read',
    lineOf({ payload: Buffer.from([0x45]) }),
    { ...logged, protocol: undefined, from: undefined, fromPort: undefined, to: undefined, port: undefined },
  ],
])('%s', (_, line, expected) => {
  const message = readNflogLine(line)
  expect(message?.sequence).toBe(7)
  expect(message?.logged).toEqual(expected)
})

test('IPv6, translated', () => {
  const from = [...Buffer.from('20010db8000000000000000000000001', 'hex')]
  const to = [...Buffer.from('20010db8000100000000000000000009', 'hex')]
  const connection = connectionOf({ from, to })
  const line = lineOf({ type: 0x86dd, payload: ipv6(6, ports(40_000, 8080)), connection })
  expect(readNflogLine(line)?.logged).toMatchObject({
    from: '2001:db8::1',
    to: '2001:db8:1::9',
    port: 30_080,
    translated: '[2001:db8:1::2]:8080',
  })
})

test('what somebody else sends to our group counts, and is not read', () => {
  expect(readNflogLine(lineOf({ prefix: 'DROP: ' }))).toEqual({ sequence: 7 })
})

test.each(['', 'ready', 'packet', 'packet 0,,', 'packet zz,,', 'packet 00', 'packet 00,,,'])(
  'no line of ours: "%s"',
  (line) => {
    expect(readNflogLine(line)).toBeUndefined()
  },
)

test('the name of an interface is plain text', () => {
  const name = Buffer.from('e\u001B[1m\u00E9\n', 'latin1').toString('hex')
  expect(readNflogLine(lineOf().replace(hex('eth0'), name))?.logged?.in).toBe('e?[1m??')
})

test('whatever is in a message, reading it ends', () => {
  const good = Buffer.from(
    lineOf({ connection: connectionOf({}) })
      .slice(7)
      .split(',')[0] ?? '',
    'hex',
  )
  const mutated = fc
    .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 12 })
    .chain((changes) =>
      fc.nat(good.length).map((length) => {
        const bytes = Buffer.from(good)
        for (const [at, value] of changes) bytes[at] = value
        return bytes.subarray(0, length)
      }),
    )
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  fc.assert(
    fc.property(fc.oneof(mutated, noise), fc.string({ maxLength: 20 }), (bytes, name) => {
      const message = readNflogLine(`packet ${bytes.toString('hex')},${hex(name)},`)
      expect(message).toBeDefined()
      expect(JSON.stringify(message?.logged ?? null)).toMatch(/^[ -~]*$/)
    }),
    { numRuns: 2_000 },
  )
})
