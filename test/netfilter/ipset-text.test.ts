import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  changeText,
  clusterSetName,
  createText,
  formatEntry,
  isOurSet,
  isStaticName,
  replaceText,
  staticSetName,
} from '../../agent/netfilter/ipset-text.ts'
import type { Ipset } from '../../agent/netfilter/ipset-text.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import { cidrs } from '../ruleset/arbitrary-cidr.ts'

const nodes: Ipset = {
  name: clusterSetName('ipv4', 'nodes'),
  family: 'ipv4',
  cidrs: ['192.0.2.1', '198.51.100.0/24'].map(parseCidr),
}

describe('names', () => {
  test('a static set is named by what it holds, and by its family', () => {
    expect(staticSetName('ipv4', nodes.cidrs)).toMatch(/^node-firewall4-[0-9a-f]{12}$/)
    expect(staticSetName('ipv6', [parseCidr('::1')])).toMatch(/^node-firewall6-/)
    expect(staticSetName('ipv4', nodes.cidrs)).toBe(staticSetName('ipv4', [...nodes.cidrs]))
    expect(staticSetName('ipv4', nodes.cidrs)).not.toBe(staticSetName('ipv4', nodes.cidrs.slice(1)))
    expect(isStaticName(staticSetName('ipv4', nodes.cidrs))).toBe(true)
    expect(isStaticName(nodes.name)).toBe(false)
  })

  test.each(['deadbeefcafe', 'averylongname', 'a b', ''])(
    'a set of the cluster cannot be called %j',
    (set) => {
      expect(() => clusterSetName('ipv4', set)).toThrow('naming a set')
    },
  )

  test.each([
    ['node-firewall4-nodes', true],
    ['node-firewall6-0123456789ab-new', true],
    ['node-firewall', false],
    ['node-firewall4-', false],
    ['node-firewall4', false],
    ['KUBE-LOOP-BACK', false],
    ['my-node-firewall4-nodes', false],
    ['node-firewall4-a b', false],
  ])('is %s ours: %s', (name, isOurs) => {
    expect(isOurSet(name)).toBe(isOurs)
  })
})

test.each([
  ['192.0.2.1/32', '192.0.2.1'],
  ['192.0.2.0/31', '192.0.2.0/31'],
  ['2001:db8::1/128', '2001:db8::1'],
  ['2001:db8::/32', '2001:db8::/32'],
])('the entry for %s is %s', (text, entry) => {
  expect(formatEntry(parseCidr(text))).toBe(entry)
})

test.each(['0.0.0.0/0', '::/0'])('%s cannot be in a set', (text) => {
  expect(() => formatEntry(parseCidr(text))).toThrow('hash:net cannot hold it')
})

test('a set is filled under another name', () => {
  expect(createText(nodes)).toBe(
    'create node-firewall4-nodes-new hash:net family inet hashsize 64 maxelem 1048576\n' +
      'add node-firewall4-nodes-new 192.0.2.1\n' +
      'add node-firewall4-nodes-new 198.51.100.0/24\n' +
      'rename node-firewall4-nodes-new "node-firewall4-nodes"\n',
  )
  expect(replaceText(nodes).split('\n').slice(3)).toEqual([
    'swap node-firewall4-nodes-new "node-firewall4-nodes"',
    '',
  ])
})

test.each([
  [0, 64],
  [64, 64],
  [65, 128],
  [100_000, 131_072],
])('%i elements get %i buckets', (size, buckets) => {
  const list = Array.from({ length: size }, () => parseCidr('192.0.2.1'))
  expect(createText({ ...nodes, cidrs: list }).split('\n')[0]).toContain(` hashsize ${buckets} `)
})

describe('changing a set', () => {
  test.each<[string, string[], string[]]>([
    ['nothing', ['192.0.2.1', '198.51.100.0/24'], []],
    ['one that is missing', ['192.0.2.1'], ['add node-firewall4-nodes "198.51.100.0/24"']],
    ['one too many', ['192.0.2.1', '192.0.2.2', '198.51.100.0/24'], ['del node-firewall4-nodes "192.0.2.2"']],
    [
      'another one',
      ['192.0.2.1', '192.0.2.2'],
      ['add node-firewall4-nodes "198.51.100.0/24"', 'del node-firewall4-nodes "192.0.2.2"'],
    ],
    [
      'one that must not match',
      ['192.0.2.1', '198.51.100.0/24 nomatch'],
      ['add node-firewall4-nodes "198.51.100.0/24"'],
    ],
    [
      'a foreign one that must not match',
      ['192.0.2.1', '192.0.2.2 nomatch', '198.51.100.0/24'],
      ['del node-firewall4-nodes "192.0.2.2"'],
    ],
  ])('%s', (_, present, lines) => {
    expect(changeText(nodes, new Set(present)).split('\n').filter(Boolean)).toEqual(lines)
  })

  test('takes as many commands as there are differences', () => {
    const lists = fc.array(cidrs('ipv4', 1), { maxLength: 30 }).map(mergeCidrs)
    fc.assert(
      fc.property(
        lists,
        lists,
        fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        (list, others, keep) => {
          const wanted = { ...nodes, cidrs: list.filter(({ prefix }) => prefix > 0) }
          const kept = wanted.cidrs.filter((_, index) => keep[index])
          const present = new Set([...kept, ...others.filter(({ prefix }) => prefix > 0)].map(formatEntry))
          const entries = new Set(wanted.cidrs.map(formatEntry))
          const lines = changeText(wanted, present).split('\n').filter(Boolean)
          expect(lines).toHaveLength(entries.symmetricDifference(present).size)
        },
      ),
    )
  })
})
