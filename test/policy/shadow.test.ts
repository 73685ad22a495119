import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Policy } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { findDeadRules } from '../../agent/policy/shadow.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import type { Rule, Ruleset } from '../../agent/ruleset/ruleset.ts'
import { cluster, connections, now, ruleOf, rulesets, rulesetWith } from './arbitrary.ts'

const tcp = { protocols: [6] }
const port = (first: number, last = first) => ({ protocols: [6], ports: [{ first, last }] })
const from = (...members: readonly string[]) => ({ from: members.map(toSource) })
const to = (...members: readonly string[]) => ({ to: members.map(toSource) })
const egress = { flow: 'egress' } as const
const podEgress = { flow: 'podEgress' } as const
const dozen = Array.from({ length: 12 }, (_, index) => `203.0.113.${index * 2}`)

function toSource(member: string) {
  return /^[a-z]/i.test(member) && !member.includes(':') ? { set: member } : parseCidr(member)
}

function isDead(...rules: readonly Partial<Rule>[]): boolean {
  const found = findDeadRules([rulesetWith(rules.map(ruleOf))], now)
  return found.some(({ rule }) => rule === `rule ${rules.length - 1}`)
}

describe('one rule before covers', () => {
  test.each<[string, boolean, Partial<Rule>, Partial<Rule>]>([
    ['everything', true, {}, port(22)],
    ['not everything', false, port(22), {}],
    ['the same', true, { ...port(22), ...from('10.0.0.0/8') }, { ...port(22), ...from('10.0.0.0/8') }],
    ['whatever it does with it', true, { action: 'accept' }, { action: 'drop' }],
    ['a port', true, port(20, 30), port(22)],
    ['a port at the end', true, port(20, 22), port(22)],
    ['no port beyond', false, port(20, 21), port(22)],
    [
      'a range with two that touch',
      true,
      { ...tcp, ports: [...port(80, 90).ports, ...port(70, 79).ports] },
      port(75, 85),
    ],
    [
      'no range with two that do not',
      false,
      { ...tcp, ports: [...port(80, 90).ports, ...port(70, 78).ports] },
      port(75, 85),
    ],
    ['no port of another protocol', false, { ...port(22), protocols: [17] }, port(22)],
    ['protocols among others', true, { protocols: [6, 17] }, { protocols: [17] }],
    ['a network', true, from('10.0.0.0/8'), from('10.1.0.0/16', '10.2.3.4')],
    ['no wider network', false, from('10.1.0.0/16'), from('10.0.0.0/8')],
    ['a network of two halves', true, from('10.0.0.0/9', '10.128.0.0/9'), from('10.0.0.0/8')],
    ['no network of the other family', false, from('10.0.0.0/8'), from('10.1.0.0/16', 'fd00::/8')],
    [
      'what only one family can hold',
      true,
      from('10.0.0.0/8'),
      { protocols: [1], ...from('10.0.0.0/8', 'fd00::/8') },
    ],
    ['a built-in set', true, from('private'), from('10.0.0.0/8')],
    ['a set of the document', true, from('10.0.0.0/8', 'fd00::/8'), from('short')],
    ['a set of the cluster, by itself', true, from('nodes', '10.0.0.0/8'), from('nodes')],
    ['a set of the cluster, by any', true, from('any'), from('nodes', 'self')],
    ['no set of the cluster otherwise', false, from('private'), from('nodes')],
    ['a destination', true, to('192.0.2.0/24'), to('192.0.2.1')],
    [
      'an ICMP type',
      true,
      { protocols: [1], ...types({ type: 8 }) },
      { protocols: [1], ...types({ type: 8, code: 0 }) },
    ],
    [
      'no ICMP code',
      false,
      { protocols: [1], ...types({ type: 8, code: 0 }) },
      { protocols: [1], ...types({ type: 8 }) },
    ],
    ['all ICMP types', true, { protocols: [1] }, { protocols: [1], ...types({ type: 8 }) }],
    ['not all of them', false, { protocols: [1], ...types({ type: 8 }) }, { protocols: [1] }],
    ['an interface', true, { interfaces: ['eth+'] }, { interfaces: ['eth0', 'eth1+'] }],
    ['any interface', true, { interfaces: ['any'] }, {}],
    ['not any interface', false, {}, { interfaces: ['any'] }],
    ['no interface that may be another', false, {}, { interfaces: ['eth0'] }],
    ['no rule of another flow', false, {}, egress],
    ['none in audit mode', false, { audit: true }, {}],
    ['one in audit mode', true, {}, { audit: true }],
    ['none before it expires', false, { expiresAt: now + 1 }, {}],
    ['one that expires sooner', true, { expiresAt: now + 2 }, { expiresAt: now + 1 }],
    ['none after it has expired', false, { expiresAt: now }, port(22)],
    ['with a limit too', true, { action: 'accept', connections: { max: 1, scope: { per: 'rule' } } }, {}],
    ['none that drops what exceeds a limit', false, { connections: { max: 1, scope: { per: 'rule' } } }, {}],
    ['egress: a short list', true, { ...egress, ...to(...dozen) }, { ...egress, ...to('203.0.113.2') }],
    [
      'egress: not with a long list',
      false,
      { ...egress, ...to(...dozen, '192.0.2.1') },
      { ...egress, ...to('192.0.2.1') },
    ],
    ['egress: the same long list', true, { ...egress, ...to('long') }, { ...egress, ...to('long') }],
    [
      'egress: not with a list of unknown length',
      false,
      { ...egress, ...to('self', 'private') },
      { ...egress, ...to('private') },
    ],
    ['pods: not metadata with an interface', false, { ...podEgress, interfaces: ['eth0'] }, podEgress],
    [
      'pods: not metadata dialled, with any interface and a long list',
      false,
      { ...podEgress, interfaces: ['any'], ...to('long', 'metadata') },
      { ...podEgress, ...to('long', 'metadata') },
    ],
    ['pods: metadata without', true, podEgress, { ...podEgress, ...to('metadata') }],
  ])('%s: %s', (_, wanted, first, second) => {
    expect(isDead(first, second)).toBe(wanted)
  })
})

function types(...ipv4: readonly { type: number; code?: number }[]) {
  return { icmpTypes: { ipv4, ipv6: [] } }
}

describe('rules of two rulesets', () => {
  const web = { matchLabels: { pool: 'web' } }
  test.each<[string, boolean, Partial<Ruleset>, Partial<Ruleset>]>([
    ['of every node', true, {}, {}],
    ['the later in audit mode', true, {}, { mode: 'audit' }],
    ['the first in audit mode', false, { mode: 'audit' }, {}],
    ['the later of some nodes', true, {}, { nodeSelector: web }],
    ['the first of some nodes', false, { nodeSelector: web }, {}],
    ['both of the same nodes', true, { nodeSelector: web }, { nodeSelector: web }],
    ['of other interfaces', false, { external: ['eth0'] }, { external: ['eth1'] }],
    ['of fewer interfaces', true, { external: ['eth0', 'bond+'] }, { external: ['bond0'] }],
    ['of unknown interfaces', false, { external: ['eth0'] }, {}],
  ])('%s: %s', (_, wanted, first, second) => {
    const pair = [
      rulesetWith([ruleOf()], { name: 'a', ...first }),
      rulesetWith([ruleOf()], { name: 'b', ...second }),
    ]
    expect(findDeadRules(pair, now).map(({ ruleset }) => ruleset)).toEqual(wanted ? ['b'] : [])
  })
})

test.each<[string, Partial<Rule>[], object]>([
  [
    'expired',
    [{ expiresAt: Date.parse('2029-12-31T00:00:00Z') }],
    { reason: 'it expired at 2029-12-31T00:00:00.000Z' },
  ],
  ['empty', [from('none')], { reason: 'its "from" is empty (none), so that it matches nobody' }],
  [
    'no family',
    [{ ...from('10.0.0.0/8'), ...to('fd00::/8') }],
    { reason: 'its protocol, from and to have no family of addresses in common' },
  ],
  [
    'covered',
    [{}, {}],
    {
      reason: 'the rule "rule 0" (test.yaml:10) comes first and matches all that it would',
      by: { ruleset: 'test', rule: 'rule 0' },
    },
  ],
])('says where and why: %s', (_, rules, cause) => {
  const last = rules.length - 1
  expect(findDeadRules([rulesetWith(rules.map(ruleOf))], now)).toEqual([
    { ruleset: 'test', rule: `rule ${last}`, path: 'test.yaml', line: 10 + last, column: 7, ...cause },
  ])
})

describe('of any rulesets and connections', () => {
  const facts = {
    external: ['eth0'],
    interfaces: ['lo', 'eth0', 'cni0'],
    addresses: ['192.0.2.1', '2001:db8::1'].map(parseCidr),
  }
  const some = fc.record({
    written: rulesets(),
    sets: cluster(),
    asked: fc.array(connections(), { minLength: 100, maxLength: 100 }),
  })

  test('the verdict is the same without the rules that are called dead', () => {
    fc.assert(
      fc.property(some, ({ written, sets, asked }) => {
        const dead = findDeadRules(written, now)
        fc.pre(dead.length > 0)
        const alive = written.map((ruleset) => ({
          ...ruleset,
          rules: ruleset.rules.filter(
            ({ name }) => !dead.some(({ ruleset: of, rule }) => of === ruleset.name && rule === name),
          ),
        }))
        const [all, rest] = [written, alive].map((list) => resolvePolicy(list, { facts, cluster: sets, now }))
        const changed = asked.filter(
          (connection) => !isDeepStrictEqual(decide(rest, connection), decide(all, connection)),
        )
        expect(changed).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  test('the verdict is the same without what stands behind the rule that decides', () => {
    fc.assert(
      fc.property(some, ({ written, sets, asked }) => {
        const policy = resolvePolicy(written, { facts, cluster: sets, now })
        for (const connection of asked) {
          const verdict = decideConnection(policy, connection)
          const { flow, by } = verdict
          const steps = policy.flows[flow]
          const index = steps.findIndex(
            (step) => step.kind === by.kind && step.ruleset === by.ruleset && step.name === by.name,
          )
          const kept = index === -1 ? steps : steps.slice(0, index + 1)
          const cut = { ...policy, flows: { ...policy.flows, [flow]: kept } }
          expect(decideConnection(cut, connection)).toEqual(verdict)
        }
      }),
    )
  })
})

function decide(policy: Policy | undefined, connection: Parameters<typeof decideConnection>[1]) {
  if (policy === undefined) throw new Error('there is no policy')
  return decideConnection(policy, connection)
}
