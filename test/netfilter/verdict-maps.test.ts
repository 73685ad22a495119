import { expect, test } from 'vitest'
import { UnreadableTableError } from '../../agent/netfilter/saved-table.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'
import { markVerdictMaps, mayHaveVerdictMaps } from '../../agent/netfilter/verdict-maps.ts'

const chainOf = (chain: string, ...texts: readonly string[]): SavedTable =>
  new Map([[chain, { policy: '-', rules: texts.map((text) => ({ text, counters: '[0:0]' })) }]])
const tableOf = (...texts: readonly string[]) => chainOf('INPUT', ...texts)
const jump = '-j node-firewall'
const rule = (chain: string, ...expr: readonly object[]) => ({ rule: { chain, expr } })
const listed = (...rules: readonly object[]) => JSON.stringify({ nftables: [{ metainfo: {} }, ...rules] })
const vmap = { vmap: { key: {}, data: '@m' } }

test.each([
  ['every rule has a target', tableOf(jump, '-p tcp -j DROP'), false],
  ['a rule has none', tableOf('-p tcp', jump), true],
  ['a rule of ours has none', chainOf('node-firewall', '-m comment --comment "x"'), false],
])('whether nft is asked: %s', (_, table, asked) => {
  expect(mayHaveVerdictMaps(table)).toBe(asked)
})

test('a rule that decides by a map gets a target, one that only counts gets none', () => {
  const table = tableOf('-p tcp', '-p tcp', jump)
  const text = listed(rule('INPUT', { counter: null }), rule('INPUT', { match: {} }, vmap), rule('INPUT', {}))
  const marked = markVerdictMaps(table, text)
    .get('INPUT')
    ?.rules.map((each) => each.text)
  expect(marked).toEqual(['-p tcp', '-p tcp -j verdict-map', jump])
})

test.each([
  ['of another moment', listed(rule('INPUT', vmap))],
  ['of another chain', listed(rule('OUTPUT', vmap), rule('OUTPUT', vmap))],
  ['half', listed(rule('INPUT', vmap)).slice(0, -5)],
  ['of another shape', '[]'],
])('an answer that is %s leaves the table unknown', (_, text) => {
  expect(() => markVerdictMaps(tableOf('-p tcp', jump), text)).toThrow(UnreadableTableError)
})
