import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseNftTables, UnreadableNftError } from '../../agent/bypass/nft-tables.ts'

const head = '{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}'
const answer = (...objects: readonly string[]) => `{"nftables": [${[head, ...objects].join(', ')}]}`

test('base chains, flowtables and what rules do are put together by table', () => {
  // The flowtable is in the form of libnftables-json(5): not every kernel has them.
  const text = [
    answer(
      '{"chain": {"family": "inet", "table": "foo", "name": "other", "handle": 1}}',
      '{"chain": {"family": "inet", "table": "foo", "name": "in", "handle": 2, "type": "filter", "hook": "input", "prio": -10, "policy": "drop"}}',
      '{"chain": {"family": "netdev", "table": "nd", "name": "ing", "handle": 1, "type": "filter", "hook": "ingress", "prio": 0}}',
      '{"chain": {"family": "ip", "table": "no", "name": "base", "handle": 1}}',
    ),
    answer(
      '{"flowtable": {"family": "inet", "name": "ft", "table": "foo", "handle": 3, "hook": "ingress", "prio": 0, "dev": "eth0"}}',
    ),
    answer(
      '{"table": {"family": "inet", "name": "foo", "handle": 2}}',
      '{"chain": {"family": "inet", "table": "foo", "name": "in", "handle": 2, "type": "filter", "hook": "input", "prio": -10, "policy": "drop"}}',
      '{"rule": {"family": "inet", "table": "foo", "chain": "in", "handle": 3, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@drop"}}, {"notrack": null}]}}',
      '{"rule": {"family": "inet", "table": "foo", "chain": "in", "handle": 4, "expr": [{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[80, {"drop": null}], [81, {"accept": null}]]}}}]}}',
    ),
  ].join('\n\n')
  expect(parseNftTables(text)).toEqual([
    {
      family: 'inet',
      name: 'foo',
      chains: [{ name: 'in', type: 'filter', hook: 'input', priority: -10, policy: 'drop' }],
      flowtables: ['ft'],
      verdicts: new Set(['notrack', 'drop']),
    },
    {
      family: 'netdev',
      name: 'nd',
      chains: [{ name: 'ing', type: 'filter', hook: 'ingress', priority: 0, policy: 'accept' }],
      flowtables: [],
      verdicts: new Set(),
    },
  ])
})

test('property: what is no such JSON is never taken for "no tables"', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      fc.pre(text.trim() !== '')
      expect(() => parseNftTables(text)).toThrow(UnreadableNftError)
    }),
  )
})
