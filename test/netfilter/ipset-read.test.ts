import { describe, expect, test } from 'vitest'
import { parseElements, parseList } from '../../agent/netfilter/ipset-read.ts'

const header = (name: string, options: string, size: number, type = 'hash:net') =>
  `Name: ${name}\nType: ${type}\nRevision: 7\nHeader: ${options}\nSize in memory: 504\nReferences: 2\n` +
  `Number of entries: ${size}\n`
const sizes = 'hashsize 64 maxelem 16 bucketsize 12 initval 0x3471c099'
const ours = header('node-firewall4-nodes', `family inet ${sizes}`, 2)
const ipv6 = header('node-firewall6-0123456789ab', `family inet6 ${sizes}`, 0)
const foreign = header('KUBE-LOOP-BACK', 'range 0-10', 3, 'bitmap:port')

test('our sets are found among those of others', () => {
  expect([...parseList([foreign, ours, foreign, ipv6].join('\n')).sets]).toEqual([
    [
      'node-firewall4-nodes',
      { type: 'hash:net', family: 'ipv4', maxelem: 16, options: '', size: 2, references: 2 },
    ],
    [
      'node-firewall6-0123456789ab',
      { type: 'hash:net', family: 'ipv6', maxelem: 16, options: '', size: 0, references: 2 },
    ],
  ])
  expect(parseList('')).toEqual({ sets: new Map(), total: 0 })
  expect(parseList(foreign)).toEqual({ sets: new Map(), total: 3 })
  expect(parseList([foreign, ours].join('\n')).total).toBe(5)
})

test.each([
  [
    'a timeout',
    header('node-firewall4-a', `family inet ${sizes} timeout 300`, 0),
    { options: 'timeout 300' },
  ],
  [
    'counters',
    header('node-firewall4-a', `family inet counters ${sizes} comment`, 0),
    { options: 'counters comment' },
  ],
  [
    'another type',
    header('node-firewall4-a', 'range 0-10', 0, 'bitmap:port'),
    { type: 'bitmap:port', options: 'range 0-10', maxelem: 0 },
  ],
])('what somebody else made of our set is told: %s', (_, text, told) => {
  expect(parseList(text).sets.get('node-firewall4-a')).toMatchObject(told)
})

describe('a list of headers that is not whole is unknown', () => {
  test.each([
    ['cut within a line', ours.slice(0, -2)],
    ['cut after a line', ours.slice(0, ours.indexOf('References'))],
    ['cut within the last of several', `${foreign}\n${ours.slice(0, 60)}`],
    ['not a list', 'hello\n'],
    ['without references', ours.replace(/References: 2\n/, '')],
    ['without a name', ours.replace(/^Name: .*\n/, '')],
  ])('%s', (_, text) => {
    expect(() => parseList(text)).toThrow('reading the sets')
  })
})

describe('a list with elements', () => {
  const members = (...lines: string[]) => ['Members:', ...lines, ''].join('\n')
  const filled = ours + members('192.0.2.1', '10.0.0.0/8 nomatch')
  const port = foreign + members('1', '2', '3')
  const empty = ipv6 + members()

  test.each([
    ['between those of others', [port, filled, empty, port]],
    ['last', [port, empty, filled]],
    ['last, with none', [port, filled, empty]],
  ])('brings those of our sets: %s', (_, blocks) => {
    const { sets } = parseList(blocks.join('\n'))
    expect(sets.get('node-firewall4-nodes')?.elements).toEqual(new Set(['192.0.2.1', '10.0.0.0/8 nomatch']))
    expect(sets.get('node-firewall6-0123456789ab')).toMatchObject({ size: 0, elements: new Set() })
  })

  test.each([
    ['cut within an element', `${port}\n${filled.slice(0, -3)}`],
    ['cut after an element', `${port}\n${filled.slice(0, filled.indexOf('10.0'))}`],
    ['cut before the elements', `${port}\n${filled.slice(0, filled.indexOf('192'))}`],
    ['cut in the set of somebody else', `${filled}\n${port.slice(0, -2)}`],
    ['with one more', `${filled.trimEnd()}\n192.0.2.9\n\n${port}`],
    [
      'with an empty line in a comment of somebody else',
      `${port.replace('2', '2 comment "a\n\nb"')}\n${filled}`,
    ],
  ])('that is not whole is unknown: %s', (_, text) => {
    expect(() => parseList(text)).toThrow('reading')
  })
})

const create = 'create node-firewall4-nodes hash:net family inet hashsize 64 maxelem 16\n'
const saved = `${create}add node-firewall4-nodes 192.0.2.1\nadd node-firewall4-nodes 10.0.0.0/8 nomatch\n`

test('elements are added to the header of their set', () => {
  const sets = parseElements(saved, parseList([ours, ipv6].join('\n')).sets)
  expect(sets.get('node-firewall4-nodes')?.elements).toEqual(new Set(['192.0.2.1', '10.0.0.0/8 nomatch']))
  expect(sets.get('node-firewall6-0123456789ab')).not.toHaveProperty('elements')
})

describe('elements that are not whole are unknown', () => {
  test.each([
    ['one less', saved.slice(0, saved.lastIndexOf('add ')), 'found 1 elements, expected the 2'],
    ['one more', `${saved}add node-firewall4-nodes 192.0.2.9\n`, 'found 3 elements, expected the 2'],
    ['cut within a line', saved.slice(0, -3), 'ends within a line'],
    ['no create', saved.replace(create, ''), 'found "add node-firewall4-nodes 192.0.2.1"'],
    ['of a set nobody asked for', saved.replaceAll('-nodes', '-other'), 'found "create node-firewall4-other'],
    ['something else', `${saved}flush node-firewall4-nodes\n`, 'found "flush'],
  ])('%s', (_, text, complaint) => {
    expect(() => parseElements(text, parseList(ours).sets)).toThrow(complaint)
  })
})
