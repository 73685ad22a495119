import { describe, expect, test } from 'vitest'
import type { Rollout } from '../../agent/ruleset/ruleset.ts'
import { disturb } from './disturb.ts'
import { editOf, startVirtualFleet } from './virtual-fleet.ts'
import { hasIt, hasStopped, until } from './outcome.ts'
import { createRandom } from './virtual-time.ts'

const minute = 60_000
const usual: Rollout = { canaries: 1, stage: { unit: 'percent', amount: 25 }, pauseMs: 30_000 }
const effects = ['fails its probe', 'cuts the node off'] as const

describe('1,000 nodes', () => {
  test('a good change reaches all, at a price that is known', async () => {
    const fleet = await startVirtualFleet(1000, 1)
    const good = editOf('good', usual)
    fleet.edit(good)
    const tookMs = await until(fleet, hasIt(good))
    expect(fleet.applied(good)).toHaveLength(1000)
    expect(tookMs).toBeLessThan(8 * minute)
    const perSecond = [...fleet.cluster.requests.values()]
    // Each node reads itself, and one other each 20 s (13 s at the least); the witnesses read each node once and some
    // a few times more; each node writes twice for the rollout, and three times for its state.
    const reads = 1000 + (1000 * tookMs) / 13_000 + 3 * 1000
    expect(perSecond.reduce((sum, requests) => sum + requests, 0)).toBeLessThan(reads + 5 * 1000)
    expect(Math.max(...perSecond)).toBeLessThan(250)
  })

  test.each(effects)('a bad change that %s stays with the canary, and all others say so', async (effect) => {
    const fleet = await startVirtualFleet(1000, 1)
    const bad = editOf('bad', usual, effect)
    fleet.edit(bad)
    expect(await until(fleet, hasStopped(bad))).toBeLessThan(5 * minute)
    const [canary = ''] = fleet.applied(bad)
    expect(fleet.applied(bad)).toEqual([canary])
    for (const node of fleet.nodes.values()) {
      if (node.name === canary) expect(node.state()).toBe('RolledBack')
      else expect(node.turn()).toMatchObject({ kind: 'stopped', by: canary })
    }
  })

  test.each([1, 2])('whatever happens meanwhile (%i)', async (seed) => expectStormWeathered(1000, seed, 0.02))
})

test.each(Array.from({ length: 40 }, (_, index) => [100 + index] as const))(
  'small fleets, in which it happens to canaries more often (%i)',
  async (seed) => expectStormWeathered(12 + (seed % 30), seed, 0.3),
)

/** A bad change, then a good one in the middle of it, or the other way around; and all sorts of trouble. */
async function expectStormWeathered(size: number, seed: number, share: number): Promise<void> {
  const fleet = await startVirtualFleet(size, seed)
  const random = createRandom(seed * 7919)
  const rollout: Rollout = {
    canaries: 1 + Math.floor(3 * random()),
    stage: { unit: 'percent', amount: 10 + Math.floor(90 * random()) },
    pauseMs: Math.floor(minute * random()),
  }
  const bad = editOf(`bad ${seed}`, rollout, effects[seed % 2])
  const good = editOf(`good ${seed}`, rollout)
  const [first, second] = random() < 0.5 ? [bad, good] : [good, bad]
  disturb(fleet, share)
  fleet.edit(first)
  await fleet.time.run(fleet.time.now() + Math.floor(5 * minute * random()))
  fleet.edit(second)
  // By then the last of what happens by chance has happened.
  await fleet.time.run(20 * minute)
  const isDone = second === good ? hasIt(good) : hasStopped(bad)
  await until(fleet, isDone)
  // A canary that is deleted while it tries makes room for another.
  const tried = fleet.applied(bad).filter((name) => fleet.nodes.has(name))
  expect(tried.length).toBeLessThanOrEqual(rollout.canaries)
  expect([...fleet.nodes.values()].filter((node) => !isDone(node)).map(({ name }) => name)).toEqual([])
}
