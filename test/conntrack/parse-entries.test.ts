import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyOf } from '../../agent/conntrack/entry.ts'
import type { Entry, Tuple } from '../../agent/conntrack/entry.ts'
import { parseEntries } from '../../agent/conntrack/parse-entries.ts'

const rows: readonly (readonly [name: string, line: string, expected: Partial<Entry>])[] = [
  [
    'TCP',
    'ipv4     2 tcp      6 431999 ESTABLISHED src=198.51.100.10 dst=198.51.100.2 sport=50186 dport=22 src=198.51.100.2 dst=198.51.100.10 sport=22 dport=50186 [ASSURED] mark=0 use=1 id=4161282853',
    {
      family: 'ipv4',
      protocol: 6,
      orig: { src: '198.51.100.10', dst: '198.51.100.2', sport: 50_186, dport: 22 },
      reply: { src: '198.51.100.2', dst: '198.51.100.10', sport: 22, dport: 50_186 },
      dnat: false,
      snat: false,
      state: 'ESTABLISHED',
      zone: 0,
      id: 4_161_282_853,
    },
  ],
  [
    'UDP without an answer, which has no state',
    'ipv6     10 udp      17 29 src=fd00::1 dst=fd00::2 sport=1001 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 sport=53 dport=1001 mark=0 use=1 id=46536425',
    {
      family: 'ipv6',
      protocol: 17,
      orig: { src: 'fd00::1', dst: 'fd00::2', sport: 1001, dport: 53 },
      zone: 0,
    },
  ],
  [
    'a node port: destination and source changed',
    'ipv4     2 tcp      6 86397 ESTABLISHED src=203.0.113.10 dst=198.51.100.2 sport=40000 dport=30080 src=10.244.0.5 dst=10.244.0.1 sport=8080 dport=61203 [ASSURED] mark=0 use=1 id=1',
    { dnat: true, snat: true, reply: { src: '10.244.0.5', dst: '10.244.0.1', sport: 8080, dport: 61_203 } },
  ],
  [
    'a redirect to another port of the same address',
    'ipv4     2 udp      17 17 src=10.244.0.5 dst=198.51.100.2 sport=40000 dport=53 src=198.51.100.2 dst=10.244.0.5 sport=5353 dport=40000 mark=0 use=1 id=1',
    { dnat: true, snat: false },
  ],
  [
    'masquerading to another port',
    'ipv4     2 udp      17 17 src=10.244.0.5 dst=203.0.113.10 sport=40000 dport=53 src=203.0.113.10 dst=198.51.100.2 sport=53 dport=1025 mark=0 use=1 id=1',
    { dnat: false, snat: true },
  ],
  [
    'a ping: its id is not that of the entry',
    'ipv4     2 icmp     1 29 src=198.51.100.10 dst=198.51.100.2 type=8 code=0 id=9184 src=198.51.100.2 dst=198.51.100.10 type=0 code=0 id=9184 mark=0 use=1 id=99',
    { protocol: 1, icmp: { type: 8, code: 0, id: 9184 }, id: 99, dnat: false, snat: false },
  ],
  [
    'counters, a time stamp, a label, a helper and a security context',
    'ipv4     2 tcp      6 299 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=21 packets=12 bytes=901 src=10.0.0.2 dst=10.0.0.1 sport=21 dport=40000 packets=9 bytes=1114 [ASSURED] mark=255 secctx=system_u:object_r:unlabeled_t:s0 delta-time=12 [start=Fri Nov 21 13:16:01 2025] helper=ftp labels=a,b use=2 id=7',
    { id: 7, orig: { src: '10.0.0.1', dst: '10.0.0.2', sport: 40_000, dport: 21 } },
  ],
  [
    'a zone',
    'ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 mark=0 zone=5 use=1 id=7',
    { zone: 5, id: 7 },
  ],
  [
    'a zone of one direction',
    'ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 zone-orig=6 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 mark=0 use=1 id=7',
    { zone: 0, origZone: 6 },
  ],
  [
    'a zone of the answers only',
    'ipv4     2 udp      17 59 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=3 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=3 dport=1 zone-reply=8 mark=0 use=1 id=7',
    { zone: 0, id: 7 },
  ],
  [
    'offloaded, which has no time to live',
    'ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [OFFLOAD] mark=0 use=2 id=7',
    { protocol: 6, id: 7 },
  ],
  [
    'a protocol without a name and without ports',
    'ipv4     2 unknown  89 599 src=10.0.0.1 dst=224.0.0.5 [UNREPLIED] src=224.0.0.5 dst=10.0.0.1 mark=0 use=1 id=7',
    { protocol: 89, orig: { src: '10.0.0.1', dst: '224.0.0.5' }, dnat: false, snat: false },
  ],
  [
    'GRE, whose keys stand where others have ports',
    'ipv4     2 gre      47 179 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 dstkey=0x1a src=10.0.0.2 dst=10.0.0.1 srckey=0x1a dstkey=0x0 [ASSURED] mark=0 use=1 id=7',
    { protocol: 47, orig: { src: '10.0.0.1', dst: '10.0.0.2', sport: 0, dport: 26 } },
  ],
]

test.each(rows)('%s', (_, line, expected) => {
  const entries = [...parseEntries(`${line}\n`)]
  expect(entries).toHaveLength(1)
  expect(entries[0]).toMatchObject(expected)
})

test.each([
  ['nothing', ''],
  ['an empty line', '\n'],
  ['what conntrack says of itself', 'conntrack v1.4.7 (conntrack-tools): 5 flow entries have been shown.\n'],
  ['a line that is cut off', 'ipv4     2 tcp      6 431999 ESTABLISHED src=198.51.100.10 dst=198.51.1'],
  [
    'one direction only',
    'ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 mark=0 use=1 id=7\n',
  ],
  ['another family', 'unknown  7 udp      17 29 src=1 dst=2 src=2 dst=1 mark=0 use=1 id=7\n'],
])('no entry: %s', (_, text) => {
  expect([...parseEntries(text)]).toEqual([])
})

test('any text: what comes out has two directions', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'ipv4',
      'ipv6',
      '2',
      'tcp',
      '6',
      'src=10.0.0.1',
      'dst=fd00::1',
      'sport=1',
      'id=3',
      'use=1',
      '\n',
    ),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(word), (words) => {
      for (const { orig, reply } of parseEntries(words.join(' '))) {
        expect(keyOf(6, orig)).not.toContain('undefined')
        expect(keyOf(6, reply)).not.toContain('undefined')
      }
    }),
  )
})

test('every entry that can be written is read back, however many there are', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  const port = fc.nat({ max: 65_535 })
  const tuple = fc.record({ src: address, dst: address, sport: port, dport: port })
  const written = fc.record({
    protocol: fc.constantFrom(6, 17, 132),
    state: fc.option(fc.constantFrom('ESTABLISHED', 'TIME_WAIT', 'SYN_SENT'), { nil: undefined }),
    orig: tuple,
    reply: tuple,
    zone: port,
    id: fc.nat({ max: 0xffff_ffff }),
    flags: fc.subarray(['[ASSURED]', 'mark=12', '[OFFLOAD]', 'secctx=null']),
  })
  fc.assert(
    fc.property(fc.array(written), (all) => {
      const lines = all.map(({ protocol, state = '', orig, reply, zone, id, flags }) =>
        [
          `ipv4     2 any ${protocol} 12`,
          state,
          print(orig),
          print(reply),
          ...flags,
          `zone=${zone} use=1 id=${id}\n`,
        ]
          .filter((word) => word !== '')
          .join(' '),
      )
      const read = [...parseEntries(lines.join(''))]
      expect(read).toMatchObject(
        all.map(({ protocol, orig, reply, zone, id, state }) => ({
          protocol,
          orig,
          reply,
          zone,
          id,
          ...(state === undefined ? {} : { state }),
          dnat: orig.dst !== reply.src || orig.dport !== reply.sport,
        })),
      )
    }),
  )
})

function print({ src, dst, sport, dport }: Tuple): string {
  return `src=${src} dst=${dst} sport=${sport} dport=${dport}`
}
