import { describe, expect, test } from 'vitest'
import { override } from '../../agent/confirm/choose.ts'
import { decide } from '../../agent/policy/decide.ts'
import type { Known } from '../../agent/policy/decide.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'

const facts = { external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: [] }
const reject = rulesetOf({ defaults: { ingress: 'reject' } }, 'a')
const drop = rulesetOf({ defaults: { ingress: 'drop' } }, 'b')
const selector = { nodeSelector: { matchLabels: { pool: 'web' } } }
const web = rulesetOf({ ...selector, defaults: { ingress: 'drop' } }, 'web')

function known(texts: readonly string[], more: Partial<Known> = {}): Known {
  const files = texts.map((text, index) => ({ path: `${index}.yaml`, bytes: Buffer.from(text) }))
  return { parsed: parseRulesets(files), labels: {}, facts, cluster: noClusterFacts, now: 0, ...more }
}

/** What is in force before the order: rulesets that deny. */
const enforced = decide(undefined, known([reject]))

function ordered(mode: 'off' | 'audit', last: typeof enforced | undefined, now: Known) {
  return override({ mode, by: 'the file' }, decide(last, now), last, now)
}

describe('an order to audit', () => {
  test('takes what is written now, or what could be read last, as an audit', () => {
    for (const now of [known([drop]), known(['a: 1'])]) {
      expect(ordered('audit', enforced, now).wanted).toMatchObject({ policy: { mode: 'audit' } })
    }
  })

  test.each([
    ['contradict each other', known([reject, drop])],
    ['need labels that nobody knows', known([web], { labels: undefined })],
    ['need interfaces that cannot be read', known([drop], { facts: undefined })],
    ['need a default route', known([drop], { facts: { external: [], interfaces: ['lo'], addresses: [] } })],
  ])('opens the node also where rulesets %s, and keeps the audit that stands', (_, now) => {
    const opened = ordered('audit', enforced, now)
    expect(opened.wanted).toEqual({ kind: 'nothing' })
    expect(opened.problems.length > 0 || opened.obstacle !== undefined).toBe(true)
    expect(ordered('audit', undefined, now).wanted).toEqual({ kind: 'nothing' })
    const audited = ordered('audit', enforced, known([reject]))
    expect(ordered('audit', audited, now).wanted).toEqual(audited.wanted)
  })
})

test('an order to switch off leaves nothing, whatever is written', () => {
  for (const now of [known([reject]), known(['a: 1']), known([web], { labels: undefined })]) {
    expect(ordered('off', enforced, now).wanted).toEqual({ kind: 'nothing' })
  }
})
