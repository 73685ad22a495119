import { describe, expect, test } from 'vitest'
import { nameOf } from '../../agent/netfilter/compile-steps.ts'
import { decide } from '../../agent/policy/decide.ts'
import type { Decision, Known } from '../../agent/policy/decide.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'

const facts = { external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: [] }
const reject = rulesetOf({ defaults: { ingress: 'reject' } }, 'a')
const drop = rulesetOf({ defaults: { ingress: 'drop' } }, 'b')
const web = rulesetOf(
  { nodeSelector: { matchLabels: { pool: 'web' } }, defaults: { ingress: 'drop' } },
  'web',
)

function known(texts: readonly string[], more: Partial<Known> = {}): Known {
  const files = texts.map((text, index) => ({ path: `${index}.yaml`, bytes: Buffer.from(text) }))
  return { parsed: parseRulesets(files), labels: {}, facts, cluster: noClusterFacts, now: 0, ...more }
}

function comments({ wanted }: Decision): string[] {
  if (wanted.kind !== 'policy') throw new Error(`expected a policy, found ${wanted.kind}`)
  return wanted.policy.flows.ingress.map((step) => {
    if (step.kind === 'audit') return `audit ${step.ruleset}`
    return `${nameOf(step)} ${step.action} ${step.match.interfaces?.join() ?? ''}`
  })
}

const standing = decide(undefined, known([reject]))

test('a sound ruleset becomes a policy: failsafes, rules, default', () => {
  expect(comments(standing).at(0)).toBe('failsafe established accept ')
  expect(comments(standing).at(-1)).toBe('default ingress reject eth0')
  expect(standing.problems).toEqual([])
})

describe('what is missing or wrong opens and closes nothing', () => {
  test.each([
    ['a ruleset with an error', known(['a: 1'])],
    [
      'no file',
      {
        ...known([]),
        parsed: {
          rulesets: [],
          problems: [{ path: 'd', line: 1, column: 1, severity: 'error' as const, message: 'none' }],
        },
      },
    ],
    ['rulesets that contradict each other', known([reject, drop])],
    ['labels that a selector needs and nobody knows', known([web], { labels: undefined })],
    ['interfaces that cannot be read', known([drop], { facts: undefined })],
    ['no default route', known([drop], { facts: { external: [], interfaces: ['lo'], addresses: [] } })],
  ])('%s', (_, input) => {
    const next = decide(standing, input)
    expect(next.wanted).toEqual(standing.wanted)
    expect(next.problems.length > 0 || next.obstacle !== undefined).toBe(true)
    expect(decide(undefined, input).wanted).toEqual({ kind: 'whatever is there' })
  })

  test('with an error in the new text, the last good rulesets still follow the node', () => {
    const next = decide(
      standing,
      known(['a: 1'], { facts: { external: ['eth1'], interfaces: ['eth1'], addresses: [] } }),
    )
    expect(comments(next).at(-1)).toBe('default ingress reject eth1')
    expect(next.problems).not.toEqual([])
  })
})

test('rulesets for other nodes are a decision: nothing is wanted here', () => {
  expect(decide(standing, known([web])).wanted).toEqual({ kind: 'nothing' })
  expect(decide(standing, known([web], { labels: { pool: 'web' } })).wanted.kind).toBe('policy')
})

describe('external interfaces', () => {
  test('are those of each ruleset, and the default acts on all of them', () => {
    const other = rulesetOf({ interfaces: { external: ['wan+'] }, defaults: { ingress: 'reject' } }, 'other')
    expect(comments(decide(undefined, known([reject, other]))).at(-1)).toBe(
      'default ingress reject eth0,wan+',
    )
  })

  test('of a ruleset in audit mode do not count beside others, whose rules they would switch off', () => {
    const spec = { interfaces: { external: ['any'] }, defaults: { ingress: 'reject' } }
    const externalOf = (...texts: readonly string[]) => {
      const { wanted } = decide(undefined, known(texts))
      return wanted.kind === 'policy' ? wanted.policy.external : undefined
    }
    const audited = rulesetOf({ ...spec, mode: 'audit' }, 'other')
    expect(externalOf(reject, audited)).toEqual(['eth0'])
    expect(externalOf(reject, rulesetOf(spec, 'other'))).toEqual(['eth0', 'any'])
    expect(externalOf(audited)).toEqual(['any'])
  })

  test('that are all there are leave nothing to rules for pods, which is warned of', () => {
    const spec = { interfaces: { external: ['any'] }, defaults: { ingress: 'drop' } }
    const warningsOf = (...texts: readonly string[]) => {
      const { wanted } = decide(undefined, known(texts))
      return wanted.kind === 'policy' ? wanted.policy.warnings : undefined
    }
    const forPods = rulesetOf({ defaults: { podEgress: 'drop' } }, 'pods')
    const expected = [expect.stringContaining('ruleset all: interfaces.external is any')]
    expect(warningsOf(rulesetOf(spec, 'all'), forPods)).toEqual(expected)
    expect(warningsOf(rulesetOf(spec, 'all'))).toEqual([])
    expect(warningsOf(rulesetOf({ ...spec, mode: 'audit' }, 'all'), forPods)).toEqual([])
  })

  test('that are not there are warned of', () => {
    const other = rulesetOf({
      interfaces: { external: ['eth0', 'et+', 'wan0'] },
      defaults: { ingress: 'reject' },
    })
    const { wanted } = decide(undefined, known([other]))
    expect(wanted.kind === 'policy' && wanted.policy.warnings).toEqual([
      'no interface is called wan0 here: what is limited to it matches nothing',
    ])
  })
})

test('nothing closed is warned of', () => {
  const { wanted } = decide(undefined, known([rulesetOf({})]))
  expect(wanted.kind === 'policy' && wanted.policy.warnings[0]).toContain('nothing is closed')
})

test('the hash follows the meaning, not the text', () => {
  const hashOf = (text: string) => {
    const { wanted } = decide(undefined, known([text]))
    return wanted.kind === 'policy' ? wanted.policy.hash : undefined
  }
  expect(hashOf(reject)).toMatch(/^[0-9a-f]{12}$/)
  expect(hashOf(`# comment\n${reject}`)).toBe(hashOf(reject))
  expect(hashOf(drop)).not.toBe(hashOf(reject))
})

const noon = Date.parse('2026-01-02T12:00:00Z')
const dayMs = 24 * 3_600_000

test.each([
  ['goes on', [-1, 0, 1], [true, false, false]],
  ['was set forward a day and is set back', [-1, dayMs, -1], [true, false, true]],
  ['was set back a day and is set forth again', [1, -dayMs, 1], [false, true, false]],
])('a rule with expiresAt is there while its time has not come, when the clock %s', (_, times, there) => {
  const expiring = { name: 'visitor', action: 'accept', expiresAt: '2026-01-02T12:00:00Z' }
  const parsed = known([rulesetOf({ rules: [expiring], defaults: { ingress: 'drop' } })])
  let decision: Decision | undefined
  const seen = times.map((offset) => {
    decision = decide(decision, { ...parsed, now: noon + offset })
    return comments(decision).some((comment) => comment.startsWith('test/visitor'))
  })
  expect(seen).toEqual(there)
})
