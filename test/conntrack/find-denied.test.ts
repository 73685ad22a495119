import { expect, test } from 'vitest'
import { connectionsOf } from '../../agent/conntrack/connection.ts'
import type { Interfaces, NodeView } from '../../agent/conntrack/connection.ts'
import type { Entry } from '../../agent/conntrack/entry.ts'
import { findDenied, findSuspects, routesOf } from '../../agent/conntrack/find-denied.ts'
import { parseEntries } from '../../agent/conntrack/parse-entries.ts'

const node: NodeView = {
  self: new Set(['198.51.100.2', '10.244.0.1', '2001:db8:1::2', 'fe80::1']),
  external: ['eth0', 'bond+'],
  named: ['cali+'],
}
const client = '203.0.113.10'
const pod = '10.244.0.5'

/** An entry of TCP: `a:1 > b:2`, or with NAT `a:1 > b:2 = c:3 > d:4`, where the second half are the real ends. */
function entryOf(text: string): Entry {
  const [first = '', second] = text.split(' = ')
  const [from, to] = ends(first)
  const [realFrom, real] = second === undefined ? [from, to] : ends(second)
  const family = text.includes('[') ? 'ipv6     10' : 'ipv4     2'
  const tuple = (a: End, b: End) => `src=${a.address} dst=${b.address} sport=${a.port} dport=${b.port}`
  const line = `${family} tcp 6 300 ESTABLISHED ${tuple(from, to)} ${tuple(real, realFrom)} mark=0 use=1 id=1`
  const [entry] = parseEntries(line)
  if (entry === undefined) throw new Error(`not an entry: ${line}`)
  return entry
}

type End = { readonly address: string; readonly port: string }

function ends(text: string): [End, End] {
  const [a = '', b = ''] = text.split(' > ')
  return [endOf(a), endOf(b)]
}

function endOf(text: string): End {
  const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? []
  return { address, port }
}

const rows: readonly (readonly [
  name: string,
  entry: string,
  interfaces: Partial<Interfaces>,
  flows: string[],
])[] = [
  [
    'a client of a process',
    `${client}:9 > 198.51.100.2:22`,
    { in: 'eth0' },
    ['ingress 198.51.100.2:22 eth0'],
  ],
  [
    'a pod at a process of the node',
    `${pod}:9 > 198.51.100.2:22`,
    { in: 'cali1' },
    ['ingress 198.51.100.2:22 cali1'],
  ],
  ['IPv6', '[2001:db8:113::10]:9 > [2001:db8:1::2]:22', { in: 'eth0' }, ['ingress 2001:db8:1::2:22 eth0']],
  [
    'a node port that leads to a pod here',
    `${client}:9 > 198.51.100.2:30080 = 10.244.0.1:7 > ${pod}:8080`,
    { in: 'eth0', out: 'cali1' },
    ['ingress 198.51.100.2:30080 eth0'],
  ],
  [
    'a node port that leads to a pod of another node',
    `${client}:9 > 198.51.100.2:30080 = 198.51.100.2:7 > 10.244.9.5:8080`,
    { in: 'eth0', out: 'eth0' },
    ['ingress 198.51.100.2:30080 eth0'],
  ],
  [
    'a port that is redirected to a process of the node',
    `${client}:9 > 198.51.100.2:80 = ${client}:9 > 198.51.100.2:8080`,
    { in: 'bond0' },
    ['ingress 198.51.100.2:80 bond0'],
  ],
  [
    'a client straight at a pod',
    `${client}:9 > ${pod}:8080`,
    { in: 'eth0', out: 'cali1' },
    [`podIngress ${pod}:8080 eth0`],
  ],
  [
    'pod to pod: a rule for all interfaces sees it',
    `${pod}:9 > 10.244.0.6:8080`,
    { in: 'cali1', out: 'cali2' },
    ['podIngress 10.244.0.6:8080 cali1', 'podEgress 10.244.0.6:8080 cali2'],
  ],
  [
    'a pod at an address that is local, though none of the node',
    `${pod}:9 > 169.254.20.10:53`,
    { in: 'cali1', out: 'lo' },
    ['ingress 169.254.20.10:53 cali1'],
  ],
  [
    'a pod at a service of a process of the node',
    `${pod}:9 > 10.96.0.1:443 = ${pod}:9 > 198.51.100.2:6443`,
    { in: 'cali1' },
    ['ingress 10.96.0.1:443 cali1', 'podEgress 10.96.0.1:443 undefined'],
  ],
  ['neighbours on a link', '[fe80::9]:9 > [fe80::8]:179', { in: 'eth0' }, []],
  [
    'a router: in and out outside',
    `${client}:9 > 192.0.2.1:80`,
    { in: 'eth0', out: 'bond0' },
    ['podIngress 192.0.2.1:80 eth0'],
  ],
  [
    'a pod outward, masqueraded',
    `${pod}:9 > ${client}:443 = 198.51.100.2:7 > ${client}:443`,
    { in: 'cali1', out: 'eth0' },
    [`podIngress ${client}:443 cali1`, `podEgress ${client}:443 eth0`],
  ],
  [
    'a pod at a service that is outside: a rule for all interfaces sees it too',
    `${pod}:9 > 10.96.0.1:443 = 198.51.100.2:7 > 192.0.2.6:6443`,
    { in: 'cali1', out: 'eth0' },
    ['ingress 10.96.0.1:443 cali1', 'podEgress 10.96.0.1:443 eth0'],
  ],
  [
    'a pod at a service of pods',
    `${pod}:9 > 10.96.0.10:53 = ${pod}:9 > 10.244.0.6:53`,
    { in: 'cali1', out: 'cali2' },
    ['ingress 10.96.0.10:53 cali1', 'podEgress 10.96.0.10:53 cali2'],
  ],
  [
    'a pod at a metadata address by an interface that is not external',
    `${pod}:9 > 169.254.169.254:80`,
    { in: 'cali1', out: 'eth9' },
    ['podIngress 169.254.169.254:80 cali1', 'podEgress 169.254.169.254:80 eth9'],
  ],
  [
    'a pod at a metadata address that is redirected to the node',
    `${pod}:9 > 169.254.169.254:80 = ${pod}:9 > 10.244.0.1:988`,
    { in: 'cali1' },
    ['ingress 169.254.169.254:80 cali1', 'podEgress 169.254.169.254:80 undefined'],
  ],
  ['a process of the node', `198.51.100.2:9 > ${client}:443`, { out: 'eth0' }, [`egress ${client}:443 eth0`]],
  [
    'a process of the node at a service',
    `198.51.100.2:9 > 10.96.0.1:443 = 198.51.100.2:9 > 192.0.2.6:6443`,
    { out: 'eth0' },
    ['egress 10.96.0.1:443 eth0'],
  ],
  ['multicast', '192.0.2.9:9 > 224.0.0.251:5353', { in: 'eth0' }, ['ingress 224.0.0.251:5353 eth0']],
  ['loopback', '127.0.0.1:9 > 127.0.0.1:22', {}, []],
  ['loopback of IPv6', '[::1]:9 > [::1]:22', {}, []],
  ['the node and itself', '198.51.100.2:9 > 10.244.0.1:22', {}, []],
]

test.each(rows)('flows of %s', (_, text, { in: inside, out }, expected) => {
  const connections = connectionsOf(entryOf(text), node, { in: inside, out })
  const said = connections.map(
    ({ flow, dialled, interface: name }) => `${flow} ${dialled.address}:${dialled.port} ${name}`,
  )
  expect(said).toEqual(expected)
})

test('a connection knows what was dialled, where it leads, and who dialled', () => {
  const entry = entryOf(`${client}:9 > 198.51.100.2:30080 = 10.244.0.1:7 > ${pod}:8080`)
  expect(connectionsOf(entry, node, { in: 'eth0', out: 'cali1' })).toEqual([
    {
      flow: 'ingress',
      family: 'ipv4',
      protocol: 6,
      from: client,
      sourcePort: 9,
      dialled: { address: '198.51.100.2', port: 30_080 },
      real: { address: pod, port: 8080 },
      interface: 'eth0',
    },
  ])
})

test.each([
  ['a client of a process', `${client}:9 > 198.51.100.2:22`, { in: { to: client, from: '198.51.100.2' } }],
  ['a process of the node', `198.51.100.2:9 > ${client}:443`, { out: { to: client, from: '198.51.100.2' } }],
  ['forwarded', `${client}:9 > ${pod}:8080`, { in: { to: client }, out: { to: pod } }],
  ['a link-local client, which every interface has a route to', '[fe80::9]:9 > [fe80::1]:22', {}],
  ['loopback', '127.0.0.1:9 > 127.0.0.1:22', {}],
])('routes of %s', (_, text, expected) => {
  expect(routesOf(entryOf(text), node)).toEqual({ in: undefined, out: undefined, ...expected })
})

const external = entryOf(`${client}:9 > 198.51.100.2:22`)
const inner = entryOf(`${pod}:9 > 198.51.100.2:22`)
const elsewhere = entryOf(`192.0.2.77:9 > 198.51.100.2:22`)
const other = entryOf(`${client}:9 > 198.51.100.2:23`)
const devices: Readonly<Record<string, string>> = { [client]: 'eth0', [pod]: 'cali1' }

test('denied on one interface: only what came in there, and what is not known stays', () => {
  const isDenied = ({
    dialled,
    interface: name,
  }: {
    dialled: { port?: number }
    interface: string | undefined
  }) => dialled.port === 22 && name === 'eth0'
  const suspects = findSuspects([external, inner, elsewhere, other], isDenied, node)
  expect(suspects).toEqual([external, inner, elsewhere])
  expect(findDenied(suspects, isDenied, node, ({ to }) => devices[to])).toEqual([external])
})

test('denied on every interface: also where it is not known which it is', () => {
  const isDenied = ({ dialled }: { dialled: { port?: number } }) => dialled.port === 22
  const suspects = findSuspects([external, inner, elsewhere, other], isDenied, node)
  expect(findDenied(suspects, isDenied, node, ({ to }) => devices[to])).toEqual([external, inner, elsewhere])
})

test('denied on no interface: no route is asked for', () => {
  expect(findSuspects([external, inner, other], () => false, node)).toEqual([])
})
