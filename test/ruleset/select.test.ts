import { describe, expect, test } from 'vitest'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'
import { needsLabels, selectRulesets } from '../../agent/ruleset/select.ts'

function rulesetsOf(...specs: readonly (readonly [name: string, spec: object])[]) {
  const files = specs.map(([name, spec]) => {
    const document = { apiVersion: 'node-firewall.io/v1', kind: 'Ruleset', metadata: { name }, spec }
    return { path: `${name}.yaml`, bytes: Buffer.from(JSON.stringify(document)) }
  })
  const { rulesets, problems } = parseRulesets(files)
  expect(problems).toEqual([])
  return rulesets
}

describe('nodeSelector', () => {
  const labels = { pool: 'web', zone: 'a', empty: '' }
  test.each([
    ['no selector', undefined, true],
    ['an empty selector', {}, true],
    ['a label that is there', { matchLabels: { pool: 'web' } }, true],
    ['a label of another value', { matchLabels: { pool: 'db' } }, false],
    ['a label that is not there', { matchLabels: { other: 'x' } }, false],
    ['one label of two', { matchLabels: { pool: 'web', other: 'x' } }, false],
    ['In', { matchExpressions: [{ key: 'pool', operator: 'In', values: ['db', 'web'] }] }, true],
    ['In without the label', { matchExpressions: [{ key: 'other', operator: 'In', values: ['x'] }] }, false],
    ['NotIn', { matchExpressions: [{ key: 'pool', operator: 'NotIn', values: ['web'] }] }, false],
    [
      'NotIn without the label',
      { matchExpressions: [{ key: 'other', operator: 'NotIn', values: ['x'] }] },
      true,
    ],
    ['Exists', { matchExpressions: [{ key: 'empty', operator: 'Exists' }] }, true],
    [
      'Exists of what every object has',
      { matchExpressions: [{ key: 'toString', operator: 'Exists' }] },
      false,
    ],
    ['DoesNotExist', { matchExpressions: [{ key: 'pool', operator: 'DoesNotExist' }] }, false],
    [
      'labels and expressions',
      { matchLabels: { zone: 'b' }, matchExpressions: [{ key: 'pool', operator: 'Exists' }] },
      false,
    ],
  ])('%s', (_, nodeSelector, expected) => {
    const rulesets = rulesetsOf(['one', { nodeSelector }])
    expect(selectRulesets(rulesets, labels).rulesets).toHaveLength(expected ? 1 : 0)
    expect(needsLabels(rulesets)).toBe(nodeSelector !== undefined)
  })
})

test('rulesets are evaluated by priority, then by name', () => {
  const rulesets = rulesetsOf(['b', {}], ['c', { priority: 1 }], ['a', {}], ['z', { priority: 1000 }])
  expect(selectRulesets(rulesets, {}).rulesets.map(({ name }) => name)).toEqual(['c', 'a', 'b', 'z'])
})

describe('defaults', () => {
  const drop = { defaults: { ingress: 'drop' } }
  const reject = { defaults: { ingress: 'reject' } }

  test('that contradict each other on one node are an error', () => {
    const { problems } = selectRulesets(rulesetsOf(['a', drop], ['b', reject]), {})
    expect(problems.map(formatProblem)).toEqual([
      expect.stringMatching(
        /^b\.yaml:1:\d+: spec\.defaults\.ingress: found reject, expected drop, which ruleset "a" \(a\.yaml\) sets/,
      ),
    ])
  })

  test('that agree, or are set by one alone, are none', () => {
    expect(selectRulesets(rulesetsOf(['a', drop], ['b', drop], ['c', {}]), {}).problems).toEqual([])
  })

  test('that contradict each other on different nodes are none', () => {
    const other = { ...reject, nodeSelector: { matchLabels: { pool: 'db' } } }
    expect(selectRulesets(rulesetsOf(['a', drop], ['b', other]), { pool: 'web' }).problems).toEqual([])
  })
})

describe('failsafes', () => {
  const narrowed = (from: readonly string[], admins: readonly string[]) => ({
    failsafe: { kubelet: { from } },
    sets: { admins },
  })
  const off = { failsafe: { kubelet: 'off' } }
  const one = narrowed(['admins', 'nodes'], ['192.0.2.1'])

  test.each<[string, object, object, boolean]>([
    ['off and narrowed', off, one, true],
    [
      'sets of one name that hold different addresses',
      one,
      narrowed(['admins', 'nodes'], ['192.0.2.2']),
      true,
    ],
    ['the same in other words', one, narrowed(['nodes', '192.0.2.1'], ['192.0.2.9']), false],
    ['off twice', off, off, false],
    ['one of them in audit mode', off, { ...one, mode: 'audit' }, false],
    ['different ones', off, { failsafe: { etcd: 'off' } }, false],
  ])('of two rulesets of one node: %s', (_, first, second, isError) => {
    const { problems } = selectRulesets(rulesetsOf(['a', first], ['b', second]), {})
    const message =
      /^b\.yaml:1:\d+: spec\.failsafe\.kubelet: found another value than ruleset "a" \(a\.yaml\) sets for the same node/
    expect(problems.map(formatProblem)).toEqual(isError ? [expect.stringMatching(message)] : [])
  })
})
