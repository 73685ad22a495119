import { describe, expect, test } from 'vitest'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'

function parse(rollout: unknown) {
  const spec = rollout === undefined ? {} : { rollout }
  const document = { apiVersion: 'node-firewall.io/v1', kind: 'Ruleset', metadata: { name: 'a' }, spec }
  return parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(JSON.stringify(document)) }])
}

const defaults = { canaries: 1, stage: { unit: 'percent', amount: 25 }, pauseMs: 30_000 }

describe('spec.rollout', () => {
  test.each([
    ['nothing but itself', {}, defaults],
    ['the defaults', { canaries: 1, then: '25%', pause: '30s' }, defaults],
    [
      'numbers',
      { canaries: 5, then: 10 },
      { ...defaults, canaries: 5, stage: { unit: 'nodes', amount: 10 } },
    ],
    [
      'all at once after the canary',
      { then: '100%' },
      { ...defaults, stage: { unit: 'percent', amount: 100 } },
    ],
    ['no pause', { pause: '0s' }, { ...defaults, pauseMs: 0 }],
    ['minutes', { pause: '5m' }, { ...defaults, pauseMs: 300_000 }],
    ['a day', { pause: '24h' }, { ...defaults, pauseMs: 86_400_000 }],
  ])('%s', (_, written, read) => {
    const { rulesets, problems } = parse(written)
    expect(problems).toEqual([])
    expect(rulesets[0]?.rollout).toEqual(read)
  })

  test.each([
    ['no canary', { canaries: 0 }, 'found 0, expected a number of nodes from 1 to 100'],
    ['half a canary', { canaries: 1.5 }, 'found 1.5, expected a decimal number'],
    ['a share of canaries', { canaries: '10%' }, 'expected a number of nodes from 1 to 100'],
    ['no share', { then: '0%' }, 'found "0%", expected a share from "1%" to "100%"'],
    ['more than all', { then: '101%' }, 'found "101%", expected a share'],
    ['a share without its sign', { then: '25' }, 'found "25", expected a share'],
    ['a stage of nobody', { then: 0 }, 'found 0, expected a share'],
    ['a pause without a unit', { pause: 30 }, 'found 30, expected a time such as "30s"'],
    ['a pause with a zero before it', { pause: '030s' }, 'found "030s", expected a time such as "30s"'],
    [
      'a pause of more than a day',
      { pause: '25h' },
      'found a pause of more than a day, expected "24h" at most',
    ],
    ['an unknown key', { after: 1 }, 'after'],
    ['a list', [], 'expected a map with canaries, then and pause'],
  ])('not with %s', (_, written, message) => {
    const { problems } = parse(written)
    expect(problems.map(formatProblem)).toEqual([expect.stringContaining(message)])
  })

  test('is no part of what the rulesets mean: changing it changes nothing in force', () => {
    const hashes = [undefined, {}, { canaries: 7 }].map((rollout) => hashRulesets(parse(rollout).rulesets))
    expect(new Set(hashes).size).toBe(1)
  })
})
