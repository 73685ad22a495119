import { expect, test } from 'vitest'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { countRules, countUncounted } from '../../agent/netfilter/rule-counters.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'
import type { Policy } from '../../agent/policy/policy.ts'
import { policyWith, ruleOf } from './policy-with.ts'

const limit = { rate: 1, unit: 'second', burst: 5, scope: { per: 'rule' } } as const
const defaults = ruleOf('ingress', { kind: 'default', action: 'reject' })

/** As the kernel would print it, when each of its rules has seen 1 packet of 40 bytes. */
function tableOf(policy: Policy): SavedTable {
  const { chains } = compilePolicy(policy, 'ipv4')
  return new Map(
    chains.map(({ name, rules }) => [
      name,
      { policy: '-', rules: rules.map((text) => ({ text, counters: '[1:40]' })) },
    ]),
  )
}

function counted(policy: Policy, most?: number) {
  return countRules(tableOf(policy), policy, most).map(
    ({ rule, action, packets, bytes }) => `${rule.name} ${action} ${packets} ${bytes}`,
  )
}

test.each([
  // Each stands in the chain of what is addressed to the node, and in that of what is translated.
  ['accept', ruleOf('a'), ['a accept 2 80']],
  ['drop', ruleOf('a', { action: 'drop' }), ['a drop 2 80']],
  // What conntrack calls INVALID gets no answer.
  ['reject', ruleOf('a', { action: 'reject' }), ['a reject 3 120']],
  ['drop that is logged', ruleOf('a', { action: 'drop', log: true }), ['a drop 2 80']],
  ['drop in audit mode', ruleOf('a', { action: 'drop', audit: true }), ['a audit 2 80']],
  ['accept with a limit', ruleOf('a', { limit }), ['a limit 1 40', 'a accept 1 40']],
  ['accept with a limit, logged', ruleOf('a', { limit, log: true }), ['a limit 1 40', 'a accept 1 40']],
  ['drop of what exceeds a limit', ruleOf('a', { action: 'drop', limit }), ['a limit 1 40']],
  ['a name that ends as a comment can', ruleOf('a audited'), ['a audited accept 2 80']],
  ['default', defaults, ['ingress reject 3 120']],
  ['failsafe', ruleOf('a', { kind: 'failsafe' }), []],
])('%s', (_, step, expected) => {
  expect(counted(policyWith({ ingress: [step] })).toSorted()).toEqual(expected.toSorted())
})

test('what exceeds a limit is not counted for a rule that is called like its comment', () => {
  const policy = policyWith({ ingress: [ruleOf('a', { limit }), ruleOf('a over its rate', { limit })] })
  expect(counted(policy)).toEqual([
    'a limit 1 40',
    'a accept 1 40',
    'a over its rate limit 1 40',
    'a over its rate accept 1 40',
  ])
})

test('of a ruleset in audit mode, what would be denied and what would pass', () => {
  const audited = {
    kind: 'audit',
    ruleset: 'test',
    rules: [ruleOf('a'), ruleOf('b', { action: 'drop' }), ruleOf('c', { limit })],
  } as const
  expect(counted(policyWith({ ingress: [audited] })).toSorted()).toEqual([
    'a accept 2 80',
    'b audit 2 80',
    'c accept 1 40',
    'c audit 1 40',
  ])
})

test('no more rules than there is room for, the first ones', () => {
  const policy = policyWith({ ingress: [ruleOf('a'), ruleOf('b'), ruleOf('c'), defaults] })
  expect(counted(policy, 2)).toEqual(['a accept 2 80', 'b accept 2 80'])
  expect([countUncounted(policy, 2), countUncounted(policy, 4), countUncounted(policy)]).toEqual([2, 0, 0])
})

test('nobody makes up a rule with a comment, nor in a chain of his own', () => {
  const policy = policyWith({ ingress: [ruleOf('a')] })
  const line = (name: string) => ({
    text: `-m comment --comment "test/${name}" -j RETURN`,
    counters: '[7:280]',
  })
  const table = new Map([
    ...tableOf(policy),
    ['node-firewall-out', { policy: '-', rules: [line('made up')] }],
    ['INPUT', { policy: 'ACCEPT', rules: [line('a')] }],
  ])
  expect(countRules(table, policy).map(({ rule, packets }) => [rule.name, packets])).toEqual([['a', 2]])
})
