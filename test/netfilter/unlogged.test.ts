import { expect, test } from 'vitest'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { countUnlogged } from '../../agent/netfilter/unlogged.ts'
import { policyWith, ruleOf } from './policy-with.ts'

/** What the rules of the default count, in their order. The first one logs, the others see the same packets. */
test.each([
  ['drop', ['20', '50'], 30],
  // What conntrack calls INVALID is dropped by a rule of its own between the one that logs and the one that rejects.
  ['reject', ['20', '5', '45'], 30],
  ['reject', ['50', '5', '45'], 0],
] as const)('packets that %s has denied and not logged: %j are %i', (action, packets, unlogged) => {
  const policy = policyWith({ ingress: [ruleOf('ingress', { kind: 'default', action, log: true })] })
  const input = compilePolicy(policy, 'ipv4').chains.filter(({ name }) => name === 'node-firewall')
  const own = input.flatMap(({ rules }) => rules).filter((text) => text.includes('default ingress'))
  const rules = own.map((text, index) => ({ text, counters: `[${packets[index] ?? ''}:0]` }))
  expect(rules).toHaveLength(packets.length)
  expect(countUnlogged(new Map([['node-firewall', { policy: '-', rules }]]))).toBe(unlogged)
})
