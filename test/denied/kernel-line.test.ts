import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readKernelLine } from '../../agent/denied/kernel-line.ts'

const mac = 'MAC=0a:58:0a:f4:01:01:0a:58:0a:f4:01:0a:08:00'
const head = '6,1802,5140900,-;node-fw drop web/ssh'
const v4 = 'SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=5 DF'
const v6 =
  'SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0001:0000:0000:0000:0000:0002 LEN=80 TC=0 HOPLIMIT=63 FLOWLBL=7'
const name = { verdict: 'drop', ruleset: 'web', rule: 'ssh' }
const base = { ...name, from: '192.0.2.1', to: '198.51.100.2', in: 'eth0', out: undefined, icmp: undefined }
const ports = { fromPort: 40_000, port: 22 }
const none = { fromPort: undefined, port: undefined }

test.each([
  [
    'TCP',
    `${head} IN=eth0 OUT= ${mac} ${v4} PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0 `,
    { ...base, protocol: 'tcp', ...ports },
  ],
  [
    'IPv6',
    `${head} IN=eth0 OUT= ${mac} ${v6} PROTO=UDP SPT=40000 DPT=22 LEN=40 `,
    { ...base, protocol: 'udp', ...ports, from: '2001:db8::1', to: '2001:db8:1::2' },
  ],
  [
    'going out',
    `${head} IN= OUT=eth1 ${v4} PROTO=132 `,
    { ...base, in: undefined, out: 'eth1', protocol: 'sctp', ...none },
  ],
  [
    'a protocol that nobody names',
    `${head} IN=eth0 OUT= ${v4} PROTO=89 `,
    { ...base, protocol: '89', ...none },
  ],
  [
    'another fragment',
    `${head} IN=eth0 OUT= ${v4} FRAG:64 PROTO=TCP `,
    { ...base, protocol: 'tcp', ...none },
  ],
  [
    'an ICMP error, which holds another packet',
    `${head} IN=eth0 OUT= ${v4} PROTO=ICMP TYPE=3 CODE=1 [SRC=10.0.0.1 DST=10.0.0.2 PROTO=UDP SPT=1 DPT=2 ] `,
    { ...base, protocol: 'icmp', ...none, icmp: '3/1' },
  ],
  [
    'a packet that is cut off',
    `${head} IN=eth0 OUT= TRUNCATED`,
    { ...base, from: undefined, to: undefined, protocol: undefined, ...none },
  ],
  [
    'a name with spaces, of no ruleset',
    `6,1,2,-,caller=T1;node-fw reject default egress IN= OUT=eth0 ${v4} PROTO=TCP SPT=40000 DPT=22 `,
    {
      ...base,
      verdict: 'reject',
      ruleset: undefined,
      rule: 'default egress',
      in: undefined,
      out: 'eth0',
      protocol: 'tcp',
      ...ports,
    },
  ],
])('%s', (_, line, expected) => {
  expect(readKernelLine(line)).toEqual(expected)
})

test.each([
  ['a line of others', `6,1,2,-;DROP: IN=eth0 OUT= ${v4} PROTO=TCP `],
  ['what a program wrote there', `14,1,2,-;node-fw drop web/ssh IN=eth0 OUT= ${v4} PROTO=TCP `],
  ['a prefix that is not ours', `6,1,2,-;node-fw eat web/ssh IN=eth0 OUT= ${v4} PROTO=TCP `],
  ['no packet', '6,1,2,-;node-fw drop web/ssh'],
  ['what follows a line', ' SUBSYSTEM=node-fw drop web/ssh IN=eth0'],
  ['nothing', ''],
])('not ours: %s', (_, line) => {
  expect(readKernelLine(line)).toBeUndefined()
})

test('whatever follows our name, reading it ends, and finds plain text', () => {
  const word = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc
      .tuple(fc.constantFrom('SRC', 'DST', 'PROTO', 'SPT', 'DPT', 'TYPE', 'CODE', 'IN', 'OUT'), fc.string())
      .map((pair) => pair.join('=')),
    fc.ipV6().map((address) => `SRC=${address}`),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      const read = readKernelLine(`${head} IN=eth0 ${words.join(' ')}`)
      expect(JSON.stringify(read ?? null)).toMatch(/^[ -~]*$/)
    }),
    { numRuns: 2_000 },
  )
})
