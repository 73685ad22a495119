import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { buildMatrix } from '../../agent/policy/matrix.ts'
import type { Matrix } from '../../agent/policy/matrix.ts'
import { namedSources } from '../../agent/policy/matrix-groups.ts'
import type { NamedSources } from '../../agent/policy/matrix-groups.ts'
import type { PolicyStep } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { formatProtocol } from '../../agent/policy/verdict-near.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { covers, parseCidr } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { cluster, connections, now, rulesets } from './arbitrary.ts'
import { accept, drop, networks, policyOf, port } from './policy-of.ts'

function matrixOf(
  ingress: readonly PolicyStep[],
  named: readonly NamedSources[] = [],
  family: Family = 'ipv4',
) {
  const node = family === 'ipv4' ? '192.0.2.1' : '2001:db8::1'
  const policy = policyOf({ ingress }, { nodes: ['10.0.1.0/24'] })
  return buildMatrix(policy, { family, node, input: 'eth0', named })
}

/** A line a row, without the protocols that the test is not about. */
function linesOf({ rows }: Matrix, protocol = 'tcp'): string[] {
  return rows
    .filter((row) => row.protocol === protocol)
    .map(({ ports, via, cells }) =>
      [
        ports.join(',') || 'other',
        via,
        ...cells.map(({ verdict, limited }) => verdict + (limited ? '*' : '')),
      ].join(' '),
    )
}

const tcp = { protocols: [6] }
const lan = { name: 'lan', cidrs: [parseCidr('10.0.0.0/8')] }
const bastion = { name: 'bastion', cidrs: [parseCidr('203.0.113.9')] }
const rest = drop('rest')

describe('ports', () => {
  test.each<[string, PolicyStep[], string[]]>([
    ['no rule', [], ['other any accept']],
    ['one port', [accept('a', { ...tcp, ...port(22) }), rest], ['22 any accept', 'other any drop']],
    ['a range', [accept('a', { ...tcp, ...port(80, 90) }), rest], ['80-90 any accept', 'other any drop']],
    [
      'ends of all ports',
      [accept('a', { ...tcp, ...port(1, 2) }), accept('b', { ...tcp, ...port(65_535) }), rest],
      ['1-2,65535 any accept', 'other any drop'],
    ],
    [
      'ranges that touch',
      [accept('a', { ...tcp, ...port(80, 85) }), accept('b', { ...tcp, ...port(86, 90) }), rest],
      ['80-90 any accept', 'other any drop'],
    ],
    [
      'ranges that overlap',
      [drop('a', { ...tcp, ...port(85) }), accept('b', { ...tcp, ...port(80, 90) }), rest],
      ['80-84,86-90 any accept', 'other any drop'],
    ],
    ['a port answered as the others are', [drop('a', { ...tcp, ...port(85) }), rest], ['other any drop']],
    ['a port of another protocol', [accept('a', { protocols: [17], ...port(53) }), rest], ['other any drop']],
    [
      'a limit',
      [accept('a', { ...tcp, ...port(22) }, { connections: { max: 1, scope: { per: 'rule' } } }), rest],
      ['22 any accept*', 'other any drop'],
    ],
    ['audit', [drop('a', { ...tcp, ...port(22) }, { audit: true })], ['other any accept']],
    [
      'a failsafe',
      [accept('kubelet', { ...tcp, ...port(10_250) }, { kind: 'failsafe' }), rest],
      ['10250 direct accept', 'other any drop'],
    ],
  ])('%s', (_, ingress, wanted) => {
    expect(linesOf(matrixOf(ingress))).toEqual(wanted)
  })
})

test('every protocol that a rule names has its rows, and the others have one', () => {
  const rules = [
    accept('esp', { protocols: [50] }),
    accept('sctp', { protocols: [132], ...port(5000) }),
    rest,
  ]
  const { rows } = matrixOf(rules)
  expect(
    rows.map(({ protocol, ports, cells }) => `${protocol} ${ports.join()} ${cells[0]?.verdict}`),
  ).toEqual([
    'tcp  drop',
    'udp  drop',
    'icmp  drop',
    'esp  accept',
    'sctp 5000 accept',
    'sctp  drop',
    'other protocols  drop',
  ])
})

test.each<[Family, string, string[]]>([
  ['ipv4', 'icmp', ['3,echo-request any accept', '11/0 any reject', 'other any drop']],
  ['ipv6', 'icmpv6', ['echo-request any accept', 'other any drop']],
])('ICMP types of %s', (family, protocol, wanted) => {
  const types = { ipv4: [{ type: 3 }, { type: 8 }], ipv6: [{ type: 128 }] }
  const exceeded = { ipv4: [{ type: 11, code: 0 }], ipv6: [] }
  const rules = [
    accept('a', { protocols: [1, 58], icmpTypes: types }),
    drop('b', { protocols: [1], icmpTypes: exceeded }, { action: 'reject' }),
    rest,
  ]
  expect(linesOf(matrixOf(rules, [], family), protocol)).toEqual(wanted)
})

describe('groups', () => {
  const ssh = { ...tcp, ...port(22) }
  test.each<[string, PolicyStep[], NamedSources[], string[][], string]>([
    [
      'the internet and what is private',
      [accept('a', { ...ssh, from: networks('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16') }), rest],
      [],
      [['internet'], ['private']],
      'drop accept',
    ],
    [
      'a set',
      [accept('a', { ...ssh, from: networks('203.0.113.9') }), rest],
      [bastion],
      [['internet', 'private'], ['bastion']],
      'drop accept',
    ],
    [
      'a set inside of what is private',
      [accept('a', { ...ssh, from: networks('10.0.0.0/8') }), rest],
      [lan],
      [['internet', 'private'], ['lan']],
      'drop accept',
    ],
    [
      'a set of the cluster',
      [accept('a', { ...ssh, from: { cidrs: [], sets: ['nodes'] } }), rest],
      [{ name: 'nodes', cidrs: [parseCidr('10.0.1.0/24')] }],
      [['internet', 'private'], ['nodes']],
      'drop accept',
    ],
    ['an empty set', [rest], [{ name: 'nobody', cidrs: [] }], [['internet', 'private']], 'drop'],
    [
      'all alike',
      [accept('a', ssh), rest],
      [lan, bastion],
      [['internet', 'private', 'lan', 'bastion']],
      'accept',
    ],
    [
      'some of a set',
      [accept('a', { ...ssh, from: networks('10.0.1.0/24') }), rest],
      [lan],
      [['internet', 'private'], ['lan']],
      'drop mixed',
    ],
    [
      'some of the internet',
      [drop('a', { ...ssh, from: networks('198.51.100.0/24') }), accept('b', ssh), rest],
      [],
      [['internet'], ['private']],
      'mixed accept',
    ],
  ])('%s', (_, ingress, named, columns, wanted) => {
    const matrix = matrixOf(ingress, named)
    expect(matrix.columns).toEqual(columns)
    expect(matrix.rows[0]?.cells.map(({ verdict }) => verdict).join(' ')).toBe(wanted)
  })

  test('where the members of one are answered differently, one of each is told', () => {
    const { rows } = matrixOf([accept('a', { ...ssh, from: networks('10.0.1.0/24') }), rest], [lan])
    expect(rows[0]?.cells[1]?.examples).toEqual([
      { from: '10.0.0.0', action: 'drop' },
      { from: '10.0.1.0', action: 'accept' },
    ])
  })

  test('of the other family are left out', () => {
    const { columns } = matrixOf([accept('a', { from: networks('203.0.113.9') }), rest], [bastion], 'ipv6')
    expect(columns).toEqual([['internet', 'private']])
  })
})

test('of any ruleset, a table says what becomes of each connection', () => {
  const facts = { external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: [parseCidr('192.0.2.1')] }
  const some = fc.record({
    written: rulesets(),
    sets: cluster(),
    asked: fc.array(connections(), { minLength: 40, maxLength: 40 }),
  })
  fc.assert(
    fc.property(some, ({ written, sets, asked }) => {
      const policy = resolvePolicy(written, { facts, cluster: sets, now })
      const named = namedSources(written, policy)
      const options = { family: 'ipv4', node: '192.0.2.1', input: 'eth0', named } as const
      const { columns, rows } = buildMatrix(policy, options)
      for (const { from, protocol, fromPort = 40_000, dialled, icmp, family } of asked) {
        const [column, name] = [columns.findIndex((names) => names.includes(groupOf(from, named))), from]
        if (family !== 'ipv4' || column === -1 || icmp !== undefined) continue
        const to = { ...dialled, address: '192.0.2.1' }
        const packet = { family, protocol, from, fromPort, dialled: to, real: to, in: 'eth0' }
        const { action, limited } = decideConnection(policy, packet)
        const cell = rowOf(rows, protocol, dialled.port ?? 0)?.cells[column]
        if (cell?.verdict === 'mixed') expect(cell.examples.map((one) => one.action)).toContain(action)
        else expect([name, cell?.verdict, cell?.limited]).toEqual([name, action, limited])
      }
    }),
    { numRuns: 300 },
  )
})

function groupOf(from: string, named: readonly NamedSources[]): string {
  const isIn = (cidrs: NamedSources['cidrs']) => cidrs.some((cidr) => covers(cidr, parseCidr(from)))
  const set = named.find(({ cidrs }) => isIn(cidrs))
  if (set !== undefined) return set.name
  if (from.startsWith('169.254.')) return 'none'
  return isIn([parseCidr('10.0.0.0/8')]) ? 'private' : 'internet'
}

function rowOf(rows: Matrix['rows'], protocol: number, asked: number) {
  const own = rows.filter((row) => row.protocol === formatProtocol(protocol))
  const holds = (label: string) => {
    const [first = 0, last = first] = label.split('-').map(Number)
    return first <= asked && asked <= last
  }
  const named = own.find(({ ports, via }) => via !== 'nodePort' && ports.some(holds))
  const rest = rows.filter((row) => row.protocol === 'other protocols')
  return named ?? own.find(({ ports }) => ports.length === 0) ?? rest[0]
}
