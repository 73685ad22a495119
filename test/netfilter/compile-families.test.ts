import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import type { Policy, PolicyRule } from '../../agent/policy/policy.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import { flows } from '../../agent/ruleset/ruleset.ts'
import type { Flow } from '../../agent/ruleset/ruleset.ts'
import { cidrs } from '../ruleset/arbitrary-cidr.ts'

/** Of one family or of both, and also longer than what is matched one rule each. */
const lists: fc.Arbitrary<readonly Cidr[]> = fc
  .tuple(
    ...families.map((family) =>
      fc.oneof(
        fc.constant([]),
        fc.array(cidrs(family), { maxLength: 3 }),
        fc.array(cidrs(family, 1), { minLength: 10, maxLength: 40 }),
      ),
    ),
  )
  .map((ofFamilies) => mergeCidrs(ofFamilies.flat()))

const rules = fc.record({
  flow: fc.constantFrom(...flows),
  side: fc.constantFrom('from' as const, 'to' as const),
  action: fc.constantFrom('accept' as const, 'drop' as const, 'reject' as const),
  hasPorts: fc.boolean(),
  list: lists,
})

type Setting = typeof rules extends fc.Arbitrary<infer Value> ? Value : never

function policyOf({ flow, side, action, hasPorts, list }: Setting): Policy {
  const match = {
    interfaces: ['eth0'],
    ...(hasPorts ? { protocols: [6, 17], ports: [{ first: 80, last: 90 }] } : {}),
    [side]: { cidrs: list, sets: [] },
  }
  const rule: PolicyRule = {
    kind: 'rule',
    ruleset: 'test',
    name: 'rule',
    action,
    match,
    log: false,
    audit: false,
  }
  const none = Object.fromEntries(flows.map((name) => [name, []])) as unknown as Record<Flow, PolicyRule[]>
  return {
    hash: '0123456789ab',
    mode: 'enforce',
    flows: { ...none, [flow]: [rule] },
    external: ['eth0'],
    self: [],
    clusterSets: { nodes: [], apiServers: [], podCIDRs: [] },
    keepsEstablished: new Set(),
    keepsEstablishedByDefault: new Set(),
    changedAt: -Infinity,
    changesAt: Infinity,
    failsafesBy: [],
    unknownSets: new Set(),
    warnings: [],
  }
}

test('a rule is in a family only with addresses of it, which are all that it matches there', () => {
  fc.assert(
    fc.property(rules, (setting) => {
      for (const family of families) {
        const { chains, sets } = compilePolicy(policyOf(setting), family)
        const own = setting.list.filter((cidr) => cidr.family === family)
        const texts = chains.flatMap((chain) => chain.rules.filter((text) => text.includes('"test/rule"')))
        expect(texts.length > 0, `in ${family}`).toBe(own.length > 0)
        expect(
          sets.every((set) => set.family === family && set.cidrs.every((cidr) => own.includes(cidr))),
        ).toBe(true)
        if (own.some(({ prefix }) => prefix === 0)) continue
        for (const text of texts) {
          const [, address] = / ?(?:-s|-d|--ctorigdst) (\S+)/.exec(text) ?? []
          const set = / --match-set (\S+) /.exec(text)?.[1]
          if (address === undefined) expect(sets.map(({ name }) => name)).toContain(set)
          else expect(own.map((cidr) => cidr.address)).toContain(address.replace(/\/.*/, ''))
        }
      }
    }),
    { numRuns: 500 },
  )
})
