import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { membersOf, orderOf, stageOf } from '../../agent/rollout/order.ts'
import { standingOf } from '../../agent/rollout/peer.ts'
import { planOf, stageSize } from '../../agent/rollout/plan.ts'
import { formatProgress, parseProgress } from '../../agent/rollout/progress.ts'
import type { Progress } from '../../agent/rollout/progress.ts'
import type { Portion } from '../../agent/ruleset/ruleset.ts'
import { rulesetWith } from '../policy/arbitrary.ts'

const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/), { minLength: 1, maxLength: 40 })

test('the order is the same whoever asks, and two nodes keep theirs whoever joins or leaves', () => {
  fc.assert(
    fc.property(names, fc.func(fc.boolean()), (all, isThere) => {
      const { names: order } = orderOf(all, 'hash')
      expect(orderOf(all.toReversed(), 'hash').names).toEqual(order)
      const present = (list: readonly string[]) => list.filter((name) => isThere(name))
      expect(orderOf(present(all), 'hash').names).toEqual(present(order))
    }),
  )
})

test('it is another order for each change', () => {
  const many = Array.from({ length: 1000 }, (_, index) => `node-${index}`)
  const firsts = Array.from({ length: 100 }, (_, index) => orderOf(many, `hash ${index}`).names[0])
  expect(new Set(firsts).size).toBeGreaterThan(80)
})

test('each node is in one stage, where it belongs', () => {
  const sizes = fc.record({
    canaries: fc.integer({ min: 1, max: 10 }),
    size: fc.integer({ min: 1, max: 50 }),
  })
  fc.assert(
    fc.property(names, sizes, (all, stages) => {
      const order = orderOf(all, 'hash')
      const members = all.map((_, stage) => membersOf(stage, order, stages))
      expect(members.flat()).toEqual(order.names)
      members.forEach((inStage, stage) => {
        for (const name of inStage) expect(stageOf(order.positions.get(name) ?? -1, stages)).toBe(stage)
      })
    }),
  )
})

test('of several rulesets the most careful values count', () => {
  const [nodes, percent]: Portion[] = [
    { unit: 'nodes', amount: 30 },
    { unit: 'percent', amount: 10 },
  ]
  const plan = planOf([
    { ...rulesetWith([]), rollout: { canaries: 3, stage: nodes ?? never(), pauseMs: 1000 } },
    rulesetWith([]),
    { ...rulesetWith([]), rollout: { canaries: 5, stage: percent ?? never(), pauseMs: 60_000 } },
  ])
  expect(plan).toMatchObject({ canaries: 3, pauseMs: 60_000 })
  expect([5, 100, 1000].map((fleet) => plan && stageSize(plan, fleet))).toEqual([1, 10, 30])
  expect(planOf([rulesetWith([])])).toBeUndefined()
})

test('what a node says of its progress is read as it was meant, and only for that change', () => {
  const progress = fc.constantFrom<Progress>(
    { phase: 'waiting' },
    { phase: 'claiming', claim: 'c0ffee' },
    { phase: 'trying', early: true },
    { phase: 'confirmed', early: false },
    { phase: 'rolled-back' },
    { phase: 'stopped', by: 'node-1.example' },
  )
  fc.assert(
    fc.property(progress, (said) => {
      expect(parseProgress(formatProgress('abc', said), 'abc')).toEqual(said)
      expect(parseProgress(formatProgress('abc', said), 'abd')).toBeUndefined()
    }),
  )
  for (const nonsense of [undefined, '', 'abc', 'abc nonsense']) {
    expect(parseProgress(nonsense, 'abc')).toBeUndefined()
  }
})

describe('where a peer stands', () => {
  const keyed = (annotations: Record<string, string>) =>
    Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`node-firewall.io/${key}`, value]))
  test.each([
    ['nothing is known of it', {}, { phase: 'idle' }],
    ['it speaks of another change', { rollout: 'old trying' }, { phase: 'idle' }],
    ['it waits', { state: 'Waiting', ruleset: 'old' }, { phase: 'waiting' }],
    ['it tries', { rollout: 'new trying', state: 'Confirming' }, { phase: 'trying', early: false }],
    [
      'it has enforced it for long',
      { state: 'Enforcing', ruleset: 'new' },
      { phase: 'confirmed', early: false },
    ],
    [
      'it has audited it for long',
      { state: 'Auditing', ruleset: 'new' },
      { phase: 'confirmed', early: false },
    ],
    ['it is not confirmed yet', { state: 'Confirming', ruleset: 'new' }, { phase: 'idle' }],
    ['something is wrong with it', { state: 'Degraded', ruleset: 'old' }, { phase: 'idle' }],
    ['it is overridden', { mode: 'off', state: 'Waiting' }, { phase: 'overridden' }],
    ['it only counts, by order', { mode: ' audit ', state: 'Waiting' }, { phase: 'overridden' }],
    ['it is told to enforce', { mode: 'enforce', state: 'Waiting' }, { phase: 'waiting' }],
    ['its order means nothing', { mode: 'of', state: 'Waiting' }, { phase: 'waiting' }],
    [
      'it was overridden after a rollback',
      { mode: 'off', rollout: 'new rolled-back' },
      { phase: 'rolled-back' },
    ],
  ])('%s', (_, annotations, standing) => {
    const node = { labels: {}, annotations: keyed(annotations) }
    expect(standingOf(node, { hash: 'new', selects: () => true })).toEqual(standing)
    expect(standingOf(node, { hash: 'new', selects: () => false })).toEqual({ phase: 'other' })
  })
})

function never(): never {
  throw new Error('there are two')
}
