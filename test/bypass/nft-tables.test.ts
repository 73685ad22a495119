import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addVerdicts, parseNftTables, UnreadableNftError } from '../../agent/bypass/nft-tables.ts'

const head = '{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}'
const answer = (...objects: readonly string[]) => `{"nftables": [${[head, ...objects].join(', ')}]}`

test('base chains and flowtables are put together by table', () => {
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
  ].join('\n\n')
  expect(parseNftTables(text)).toEqual([
    {
      family: 'inet',
      name: 'foo',
      chains: [{ name: 'in', type: 'filter', hook: 'input', priority: -10, policy: 'drop' }],
      flowtables: ['ft'],
      verdicts: new Set(),
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

const table = { family: 'inet', name: 'foo', chains: [], flowtables: [], verdicts: new Set([]) }

test.each<[string, string, string[]]>([
  ['nothing', '{"table": {"family": "inet", "name": "foo", "handle": 2}}', []],
  [
    'a set by a name',
    '{"rule": {"expr": [{"match": {"op": "==", "right": "@drop"}}, {"accept": null}]}}',
    [],
  ],
  ['a chain of a name', '{"rule": {"chain": "drop", "expr": [{"jump": {"target": "reject"}}]}}', []],
  [
    'a comment that looks like JSON',
    `{"rule": {"comment": ${JSON.stringify('"drop": null')}, "expr": [{"accept": null}]}}`,
    [],
  ],
  ['notrack', '{"rule": {"expr": [{"counter": null}, {"notrack": null}]}}', ['notrack']],
  [
    'a map in a rule',
    '{"rule": {"expr": [{"vmap": {"data": {"set": [[80, {"drop": null}], [81, {"accept": null}]]}}}]}}',
    ['drop'],
  ],
  ['a map of its own', '{"map": {"name": "ports", "type": "inet_service", "map": "verdict"}}', ['drop']],
  [
    'reject and queue with and without more',
    '{"rule": {"expr": [{"reject": {"type": "tcp reset"}}, {"queue": null}]}}',
    ['reject', 'queue'],
  ],
  ['fwd', '{"rule": {"expr": [{"fwd": {"dev": "lo"}}]}}', ['fwd']],
])('what rules do, with %s', (_, object, expected) => {
  expect(addVerdicts([table], answer(object))).toEqual([{ ...table, verdicts: new Set(expected) }])
})

test('fewer answers than questions are not taken for tables without rules', () => {
  expect(() => addVerdicts([table, table], answer())).toThrow(UnreadableNftError)
})

test('property: what is no such JSON is never taken for "no tables"', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      fc.pre(text.trim() !== '')
      expect(() => parseNftTables(text)).toThrow(UnreadableNftError)
    }),
  )
})
