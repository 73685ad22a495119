import { describe, expect, test } from 'vitest'
import { createRandom } from './virtual-time.ts'
import type { Rollout } from '../../agent/ruleset/ruleset.ts'
import { disturb } from './disturb.ts'
import { editOf, startVirtualFleet } from './virtual-fleet.ts'
import type { VirtualFleet } from './virtual-fleet.ts'
import type { Edit } from './virtual-node.ts'

const minute = 60_000
const hour = 60 * minute
const usual: Rollout = { canaries: 1, stage: { unit: 'percent', amount: 25 }, pauseMs: 30_000 }
const effects = ['fails its probe', 'cuts the node off'] as const

describe('1,000 nodes', () => {
  test('a good change reaches all, at a price that is known', async () => {
    const fleet = await startVirtualFleet(1000, 1)
    const good = editOf('good', usual)
    const start = fleet.time.now()
    fleet.edit(good)
    await fleet.time.run(start + hour, () => haveAll(fleet, good))
    expect(fleet.applied(good)).toHaveLength(1000)
    expect(fleet.time.now() - start).toBeLessThan(10 * minute)
    const perSecond = [...fleet.cluster.requests.values()]
    const total = perSecond.reduce((sum, requests) => sum + requests, 0)
    console.log('good', (fleet.time.now() - start) / 1000, total, Math.max(...perSecond))
  })

  test.each(effects)('a bad change that %s stays with the canary, and all others say so', async (effect) => {
    const fleet = await startVirtualFleet(1000, 1)
    const bad = editOf('bad', usual, effect)
    const start = fleet.time.now()
    fleet.edit(bad)
    await fleet.time.run(start + hour, () => haveStopped(fleet, bad))
    const [canary] = fleet.applied(bad)
    expect(fleet.applied(bad)).toHaveLength(1)
    for (const node of fleet.nodes.values()) {
      if (node.name === canary) expect(node.state()).toBe('RolledBack')
      else expect(node.turn()).toMatchObject({ kind: 'stopped', by: canary })
    }
    console.log('bad', (fleet.time.now() - start) / 1000)
  })

  test.each([1, 2])('whatever happens meanwhile (%i)', async (seed) => {
    await runStorm(1000, seed, 0.02)
  })
})

test.each(Array.from({ length: 60 }, (_, index) => [100 + index] as const))(
  'small fleets, in which it happens to canaries more often (%i)',
  async (seed) => runStorm(12 + (seed % 30), seed, 0.3),
)

/** A bad change, then a good one in the middle of it, or the other way around; and all sorts of trouble. */
async function runStorm(size: number, seed: number, share: number): Promise<void> {
  const fleet = await startVirtualFleet(size, seed)
  const random = createRandom(seed * 7919)
  const rollout: Rollout = {
    canaries: 1 + Math.floor(3 * random()),
    stage: { unit: 'percent', amount: 10 + Math.floor(90 * random()) },
    pauseMs: Math.floor(60_000 * random()),
  }
  const bad = editOf(`bad ${seed}`, rollout, effects[seed % 2])
  const good = editOf(`good ${seed}`, rollout)
  const start = fleet.time.now()
  const betweenMs = Math.floor(5 * minute * random())
  disturb(fleet, share)
  const badFirst = random() < 0.5
  fleet.edit(badFirst ? bad : good)
  await fleet.time.run(start + betweenMs)
  fleet.edit(badFirst ? good : bad)
  // What happens by chance is over after 20 minutes.
  await fleet.time.run(start + 20 * minute)
  await fleet.time.run(start + 3 * hour, () => (badFirst ? haveAll(fleet, good) : haveStopped(fleet, bad)))
  const isThere = (name: string) => fleet.nodes.has(name)
  expect(fleet.applied(bad).filter(isThere).length).toBeLessThanOrEqual(rollout.canaries)
  const late = [...fleet.nodes.values()]
    .filter((node) => !(badFirst ? hasIt(good)(node) : hasStopped(bad)(node)))
    .map((node) => ({ name: node.name, state: node.state(), turn: node.turn() }))
  expect(late).toEqual([])
}

type Node = Parameters<ReturnType<typeof hasIt>>[0]

function hasIt({ hash }: Edit) {
  return (node: { inForce: () => string | undefined; state: () => string; turn: () => unknown }) =>
    node.inForce() === hash && node.state() === 'Enforcing'
}

function hasStopped(_: Edit) {
  return (node: Node) =>
    node.state() === 'RolledBack' || (node.turn() as { kind: string } | undefined)?.kind === 'stopped'
}

function haveAll({ nodes }: VirtualFleet, edit: Edit): boolean {
  return [...nodes.values()].every(hasIt(edit))
}

function haveStopped({ nodes }: VirtualFleet, edit: Edit): boolean {
  return [...nodes.values()].every(hasStopped(edit))
}
