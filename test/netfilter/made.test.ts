import { describe, expect, test } from 'vitest'
import { addMarks, basesOf, parsePresent, readMade } from '../../agent/netfilter/made.ts'
import { parseSavedTable } from '../../agent/netfilter/saved-table.ts'

const chain = (name: string) =>
  `\tchain ${name} {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n`
const table = (name: string, ...chains: string[]) => `table ${name} {\n${chains.map(chain).join('')}}\n`

describe('what nft says of the filter table', () => {
  test.each([
    ['nothing', '', []],
    ['an empty table', table('ip filter'), ['table']],
    ['one base chain', table('ip filter', 'INPUT'), ['table', 'INPUT']],
    [
      'all of them',
      table('ip filter', 'OUTPUT', 'KUBE-X', 'INPUT', 'FORWARD'),
      ['table', 'INPUT', 'FORWARD', 'OUTPUT'],
    ],
    [
      'other tables before and after',
      table('ip nat', 'INPUT') + table('ip filter', 'FORWARD') + table('ip raw', 'OUTPUT'),
      ['table', 'FORWARD'],
    ],
    ['a table with such a name', table('ip filters', 'INPUT'), []],
    ['a chain with such a name', table('ip filter', 'INPUT-2', 'MY-INPUT'), ['table']],
    ['the other family', table('ip6 filter', 'INPUT'), []],
  ])('%s', (_name, text, expected) => {
    expect([...parsePresent(text, 'ipv4')]).toEqual(expected)
  })
})

describe('marks', () => {
  const text =
    '*filter\n:node-firewall - [0:0]\n[1:2] -A node-firewall -j RETURN\n[0:0] -I INPUT 1 -j node-firewall\n-I FORWARD 1 -j x\nCOMMIT\n'

  test('stand for the base chains that a commit puts rules into', () => {
    expect(basesOf(text)).toEqual(['INPUT', 'FORWARD'])
    expect(
      basesOf('*filter\n-D INPUT -j node-firewall\n[0:0] -A x -m comment --comment "-I INPUT 1"\nCOMMIT\n'),
    ).toEqual([])
  })

  test('are chains of the same commit, and are found again in the table', () => {
    const marked = addMarks(text, ['INPUT', 'table'])
    expect(marked.split('\n').slice(0, 4)).toEqual([
      '*filter',
      ':node-firewall-made-INPUT - [0:0]',
      ':node-firewall-made-table - [0:0]',
      ':node-firewall - [0:0]',
    ])
    const saved =
      '*filter\n:INPUT ACCEPT [0:0]\n:node-firewall-made-table - [0:0]\n:node-firewall-made-INPUT - [0:0]\nCOMMIT\n'
    expect(readMade(parseSavedTable(saved, new Map()))).toEqual(['INPUT', 'table'])
    expect(addMarks(text, [])).toBe(text)
  })
})
