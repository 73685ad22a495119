import { describe, expect, test } from 'vitest'
import { compareSets } from '../../agent/netfilter/ipset-compare.ts'
import type { SavedSet } from '../../agent/netfilter/ipset-read.ts'
import { clusterSetName, staticSetName } from '../../agent/netfilter/ipset-text.ts'
import type { Ipset } from '../../agent/netfilter/ipset-text.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'

const cidrs = ['192.0.2.1', '192.0.2.2', '198.51.100.0/24'].map(parseCidr)
const fixed: Ipset = { name: staticSetName('ipv4', cidrs), family: 'ipv4', cidrs }
const nodes: Ipset = { name: clusterSetName('ipv4', 'nodes'), family: 'ipv4', cidrs }
const entries = ['192.0.2.1', '192.0.2.2', '198.51.100.0/24']

function saved(elements: readonly string[] | number, change: Partial<SavedSet> = {}): SavedSet {
  return {
    type: 'hash:net',
    family: 'ipv4',
    maxelem: 100,
    options: '',
    references: 0,
    size: typeof elements === 'number' ? elements : elements.length,
    ...(typeof elements === 'number' ? {} : { elements: new Set(elements) }),
    ...change,
  }
}

describe('a set that should be there', () => {
  test.each<[string, Ipset, SavedSet | undefined, string[]]>([
    ['with its elements', fixed, saved(entries), []],
    ['in another order', fixed, saved(entries.toReversed()), []],
    ['static, known by its header alone', fixed, saved(3), []],
    [
      'of the cluster, known by its header alone',
      nodes,
      saved(3),
      ['set-changed the elements of set NAME are not known'],
    ],
    ['that is not', fixed, undefined, ['set-missing set NAME does not exist']],
    [
      'with fewer, known by its header alone',
      fixed,
      saved(2),
      ['set-changed set NAME has 2 elements instead of 3'],
    ],
    [
      'with another element',
      nodes,
      saved(['192.0.2.1', '192.0.2.2', '192.0.2.3']),
      ['set-changed set NAME differs: 1 missing element, 1 foreign element'],
    ],
    [
      'with an exception',
      nodes,
      saved([...entries, '192.0.2.0/25 nomatch']),
      ['set-changed set NAME differs: 1 foreign element'],
    ],
    ['that is empty', nodes, saved([]), ['set-changed set NAME is empty']],
    [
      'of another type',
      fixed,
      saved(entries, { type: 'hash:ip' }),
      ['set-changed set NAME is of another kind'],
    ],
    [
      'of the other family',
      fixed,
      saved(entries, { family: 'ipv6' }),
      ['set-changed set NAME is of another kind'],
    ],
    [
      'that forgets',
      fixed,
      saved(entries, { options: 'timeout 300' }),
      ['set-changed set NAME is of another kind'],
    ],
    [
      'that is too small',
      nodes,
      saved(['192.0.2.1'], { maxelem: 2 }),
      ['set-changed set NAME is of another kind'],
    ],
  ])('%s', (_, set, present, differences) => {
    const found = compareSets([set], new Map(present === undefined ? [] : [[set.name, present]]))
    expect(found.map(({ kind, message }) => `${kind} ${message.replace(set.name, 'NAME')}`)).toEqual(
      differences,
    )
  })
})

test('the lines tell what should be there and what should not', () => {
  const [difference] = compareSets([nodes], new Map([[nodes.name, saved(['192.0.2.1', '192.0.2.3'])]]))
  expect(difference?.lines).toEqual([
    '- add node-firewall4-nodes 192.0.2.2',
    '- add node-firewall4-nodes 198.51.100.0/24',
    '+ add node-firewall4-nodes 192.0.2.3',
  ])
})

test('of many lines there are ten', () => {
  const many = Array.from({ length: 100 }, (_, index) => `203.0.113.${index}`)
  expect(compareSets([nodes], new Map([[nodes.name, saved(many)]]))[0]?.lines).toHaveLength(10)
})

test('sets that nobody wants are told', () => {
  const present = new Map([fixed.name, nodes.name].map((name) => [name, saved(entries)]))
  expect(compareSets([nodes], present)).toEqual([
    { kind: 'set-unwanted', where: fixed.name, message: `set ${fixed.name} exists`, lines: [] },
  ])
})
