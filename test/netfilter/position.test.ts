import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Desired } from '../../agent/netfilter/chain.ts'
import { compareTable } from '../../agent/netfilter/compare.ts'
import { isSoundJump, readPosition } from '../../agent/netfilter/position.ts'
import { parseSavedTable } from '../../agent/netfilter/saved-table.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'

/** The filter table of a real node: kubelet, and kube-proxy in iptables mode. */
const node = await readFile(join(import.meta.dirname, 'fixtures', 'node-filter.txt'), 'utf8')
const chain: Desired = {
  chains: [{ name: 'node-firewall', rules: ['-i lo -j RETURN'] }],
  jumps: { INPUT: 'node-firewall' },
  sets: [],
}

/** The node's table with our chain, and these rules first in INPUT. */
function tableWith(input: readonly string[], more: readonly string[] = []): SavedTable {
  const ours = ':node-firewall - [0:0]\n[0:0] -A node-firewall -i lo -j RETURN\n'
  const chains = more.filter((line) => line.startsWith(':')).join('\n')
  const rules = more.filter((line) => !line.startsWith(':')).map((line) => `[0:0] ${line}`)
  const first = input.map((rule) => `[0:0] -A INPUT ${rule}`)
  const text = node
    .replace(/(:KUBE-SERVICES.*\n)/, `$1${ours.split('\n')[0]}\n${chains}\n`)
    .replace(/(\[8:480\] -A INPUT)/, `${[...first, ...rules].join('\n')}\n${ours.split('\n')[1]}\n$1`)
  return parseSavedTable(text, new Map())
}

describe('on a real node', () => {
  test('the jump stands first', () => {
    const position = readPosition(tableWith(['-j node-firewall']), 'INPUT')
    expect(position).toEqual({ jumps: ['-j node-firewall'], policy: 'ACCEPT' })
    expect(isSoundJump(position, 'node-firewall')).toBe(true)
    expect(compareTable(chain, tableWith(['-j node-firewall']))).toEqual([])
  })

  test('chains of kube-proxy and the kubelet may stand before it, though they drop', () => {
    const text = node
      .replace('COMMIT', '[0:0] -A INPUT -j node-firewall\nCOMMIT')
      .replace(/(:KUBE-SERV.*\n)/, '$1:node-firewall - [0:0]\n')
    expect(readPosition(parseSavedTable(text, new Map()), 'INPUT')).toEqual({
      jumps: ['-j node-firewall'],
      policy: 'ACCEPT',
    })
  })

  test('without us there is neither chain nor jump', () => {
    expect(compareTable(undefined, parseSavedTable(node, new Map()))).toEqual([])
    expect(compareTable(chain, parseSavedTable(node, new Map())).map(({ kind }) => kind)).toEqual([
      'chain-missing',
      'jump-missing',
    ])
  })
})

describe('what stands before the jump', () => {
  const jump = '-j node-firewall'
  test.each([
    ['a rule that accepts', ['-s 10.0.0.1/32 -j ACCEPT', jump], [], true],
    ['a rule that drops', ['-j DROP', jump], [], true],
    ['a rule that leaves the chain', ['-i eth1 -j RETURN', jump], [], true],
    ['a queue', ['-j NFQUEUE --queue-num 0', jump], [], true],
    ['a target nobody knows', ['-j SOMETHING', jump], [], true],
    ['a chain that accepts', ['-j other', jump], [':other - [0:0]', '-A other -j ACCEPT'], true],
    [
      'a chain whose chain drops',
      ['-j a', jump],
      [':a - [0:0]', ':b - [0:0]', '-A a -g b', '-A b -j DROP'],
      true,
    ],
    ['a rule that only logs', ['-j LOG --log-prefix "x -j DROP "', jump], [], false],
    [
      'a comment that looks like a target',
      [String.raw`-m comment --comment "a \" -j ACCEPT" -j LOG`, jump],
      [],
      false,
    ],
    ['a rule that only counts', ['-s 10.0.0.1/32', jump], [], false],
    ['a rule that marks', ['-j MARK --set-xmark 0x1/0x1', jump], [], false],
    [
      'a chain that only logs',
      ['-j other', jump],
      [':other - [0:0]', '-A other -j LOG', '-A other -j RETURN'],
      false,
    ],
    ['chains in a circle', ['-j a', jump], [':a - [0:0]', ':b - [0:0]', '-A a -j b', '-A b -j a'], false],
    ['an empty chain', ['-j other', jump], [':other - [0:0]'], false],
    [
      'a chain of Cilium',
      ['-j CILIUM_INPUT', jump],
      [':CILIUM_INPUT - [0:0]', '-A CILIUM_INPUT -j ACCEPT'],
      false,
    ],
    [
      'a chain that only logs and is gone to, so that nothing comes back from it',
      ['-s 10.0.0.1/32 -g other', jump],
      [':other - [0:0]', '-A other -j LOG'],
      true,
    ],
    [
      'ports for health checks that kube-proxy accepts',
      ['-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS', jump],
      ['-A KUBE-NODEPORTS -p tcp -m tcp --dport 32000 -j ACCEPT'],
      true,
    ],
    [
      'a chain of Kubernetes whose chain rejects',
      ['-j KUBE-SERVICES', jump],
      [':other - [0:0]', '-A KUBE-SERVICES -j other', '-A other -j REJECT'],
      false,
    ],
  ])('%s', (_, input, more, decides) => {
    const kinds = compareTable(chain, tableWith(input, more)).map(({ kind }) => kind)
    expect(kinds).toEqual(decides ? ['jump-preceded'] : [])
  })

  test('chains of Calico are told of, not overtaken', () => {
    const table = tableWith(['-j cali-INPUT', jump], [':cali-INPUT - [0:0]', '-A cali-INPUT -j ACCEPT'])
    expect(readPosition(table, 'INPUT').precededBy).toEqual({ rule: '-j cali-INPUT', movable: false })
    expect(compareTable(chain, table)).toEqual([])
  })
})

describe('what stands before the jump from FORWARD', () => {
  const forward: Desired = {
    chains: [{ name: 'node-firewall-fwd', rules: [] }],
    jumps: { FORWARD: 'node-firewall-fwd' },
    sets: [],
  }
  test.each([
    ['-i lxc+', 'CILIUM_FORWARD', '-j ACCEPT'],
    ['-m comment --comment "kube-router netpol"', 'KUBE-ROUTER-FORWARD', '-j ACCEPT'],
  ])('what others accept for pods is overtaken: %s -j %s', (match, name, rule) => {
    const text = `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:${name} - [0:0]\n:node-firewall-fwd - [0:0]
[0:0] -A FORWARD ${match} -j ${name}\n[0:0] -A FORWARD -j node-firewall-fwd\n[0:0] -A ${name} ${rule}\nCOMMIT\n`
    const [found] = compareTable(forward, parseSavedTable(text, new Map()))
    expect(found).toMatchObject({ kind: 'jump-preceded', where: 'FORWARD' })
  })
})

test('what kube-router accepts of pods in INPUT is told of, not overtaken', () => {
  const table = tableWith(
    ['-j KUBE-ROUTER-INPUT', '-j node-firewall'],
    [':KUBE-ROUTER-INPUT - [0:0]', '-A KUBE-ROUTER-INPUT -m mark --mark 0x20000/0x20000 -j ACCEPT'],
  )
  expect(readPosition(table, 'INPUT').precededBy).toEqual({ rule: '-j KUBE-ROUTER-INPUT', movable: false })
  expect(compareTable(chain, table)).toEqual([])
})

describe('the jump itself', () => {
  test.each([
    [['-j node-firewall', '-j node-firewall'], 'jump-repeated'],
    [['-i eth0 -j node-firewall'], 'jump-changed'],
    [['-g node-firewall'], 'jump-changed'],
    [[], 'jump-missing'],
  ])('%j is %s', (input, kind) => {
    expect(compareTable(chain, tableWith(input)).map((difference) => difference.kind)).toEqual([kind])
  })
})
