import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import type { Ruleset } from '../../agent/ruleset/ruleset.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import { cluster, connections, now, rulesets } from './arbitrary.ts'

const facts = {
  external: ['eth0'],
  interfaces: ['eth0', 'eth1', 'cni0'],
  addresses: ['192.0.2.1', '2001:db8::1'].map(parseCidr),
}
const defaults = fc.record(
  Object.fromEntries(flows.map((flow) => [flow, fc.constantFrom('accept' as const, 'drop' as const)])),
  { requiredKeys: [] },
)

test('what is audited, a ruleset or a rule, changes nothing of what becomes of a connection', () => {
  fc.assert(
    fc.property(rulesets(), defaults, cluster(), connections(), (some, given, known, connection) => {
      const all = some.map((ruleset) => ({ ...ruleset, defaults: given }))
      const without = all
        .filter(({ mode }) => mode === 'enforce')
        .map((ruleset) => ({ ...ruleset, rules: ruleset.rules.filter(({ audit }) => !audit) }))
      const decide = (chosen: readonly Ruleset[]) =>
        decideConnection(resolvePolicy(chosen, { facts, cluster: known, now }), connection).action
      expect(decide(all)).toBe(without.length === 0 ? 'accept' : decide(without))
    }),
    { numRuns: 2_000 },
  )
})
