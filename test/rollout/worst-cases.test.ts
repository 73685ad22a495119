import { describe, expect, test } from 'vitest'
import { orderOf } from '../../agent/rollout/order.ts'
import type { Rollout } from '../../agent/ruleset/ruleset.ts'
import { hasIt, hasStopped, until } from './outcome.ts'
import { editOf, startVirtualFleet } from './virtual-fleet.ts'
import type { VirtualFleet } from './virtual-fleet.ts'

const minute = 60_000
const usual: Rollout = { canaries: 1, stage: { unit: 'percent', amount: 25 }, pauseMs: 30_000 }
const good = editOf('good', usual)
const bad = editOf('bad', usual, 'cuts the node off')

describe('the canary', () => {
  test.each([
    ['lost its power before', (fleet: VirtualFleet, name: string) => fleet.turnOff(name)],
    [
      'has an agent that is not ready',
      (fleet: VirtualFleet, name: string) => fleet.nodes.get(name)?.stopAgent(),
    ],
    ['is overridden', override],
    ['never gets the files', (fleet: VirtualFleet, name: string) => fleet.nodes.get(name)?.stopTaking()],
  ] as const)('%s: the next one takes its place', async (_, change) => {
    for (const edit of [good, bad]) {
      const fleet = await startVirtualFleet(40, 1)
      const [canary = '', next = ''] = inOrder(fleet, edit.hash)
      change(fleet, canary)
      await fleet.time.run(3 * minute)
      fleet.edit(edit)
      const isDone = edit === good ? hasIt(good) : hasStopped(bad)
      await until(fleet, (node) => node.name === canary || isDone(node))
      expect(fleet.applied(edit)[0]).toBe(next)
      expect(fleet.applied(edit)).toHaveLength(edit === good ? 39 : 1)
    }
  })

  test('comes back while the next one tries in its place: it does not try as well', async () => {
    const fleet = await startVirtualFleet(40, 1)
    const [canary = '', next = ''] = inOrder(fleet, bad.hash)
    fleet.turnOff(canary)
    await fleet.time.run(3 * minute)
    fleet.edit(bad)
    await fleet.time.run(20 * minute, () => fleet.applied(bad).length > 0)
    fleet.turnOn(canary)
    await until(fleet, hasStopped(bad))
    expect(fleet.applied(bad)).toEqual([next])
  })

  test('loses its power while it tries: nobody goes on until it is back, or deleted', async () => {
    const fleet = await startVirtualFleet(40, 1)
    const [canary = '', next = ''] = inOrder(fleet, good.hash)
    fleet.edit(good)
    await fleet.time.run(20 * minute, () => fleet.nodes.get(canary)?.state() === 'Confirming')
    fleet.turnOff(canary)
    await fleet.time.run(fleet.time.now() + 120 * minute)
    expect(fleet.applied(good)).toEqual([canary])
    expect(fleet.nodes.get(next)?.turn()).toMatchObject({
      kind: 'wait',
      message: expect.stringContaining(`${canary} has not been ready since it began to try it`),
    })
    fleet.remove(canary)
    await until(fleet, hasIt(good))
    expect(fleet.applied(good)).toHaveLength(40)
  })

  test('is restarted while it tries: it goes on with what it has begun', async () => {
    const fleet = await startVirtualFleet(40, 1)
    const [canary = ''] = inOrder(fleet, good.hash)
    fleet.edit(good)
    await fleet.time.run(20 * minute, () => fleet.nodes.get(canary)?.state() === 'Confirming')
    fleet.nodes.get(canary)?.stopAgent()
    await fleet.time.run(fleet.time.now() + 5000)
    fleet.nodes.get(canary)?.startAgent()
    expect(await until(fleet, hasIt(good))).toBeLessThan(10 * minute)
  })
})

test('after a break-glass that ended with `mode=enforce` on all nodes, stages follow one another all the same', async () => {
  const fleet = await startVirtualFleet(40, 1)
  const ordered = { 'node-firewall.io/mode': 'enforce' }
  for (const name of fleet.nodes.keys()) void fleet.cluster.patch(name, ordered)
  await fleet.time.run(minute)
  fleet.edit(good)
  await fleet.time.run(21 * minute, () => fleet.applied(good).length > 1)
  // The canary has confirmed; a quarter of the others may go before it is seen how that quarter fares.
  await fleet.time.run(fleet.time.now() + 50_000)
  expect(fleet.applied(good).length).toBeLessThanOrEqual(1 + 10)
  await until(fleet, hasIt(good))
})

test('the API server is away: nodes that wait stay as they are and say why, and go on when it is back', async () => {
  const fleet = await startVirtualFleet(40, 1)
  const [canary = ''] = inOrder(fleet, good.hash)
  fleet.edit(good)
  await fleet.time.run(
    20 * minute,
    () => fleet.nodes.get(canary)?.state() === 'Enforcing' && fleet.applied(good).length === 1,
  )
  fleet.cluster.setAway(true)
  await fleet.time.run(fleet.time.now() + 30 * minute)
  expect(fleet.applied(good)).toEqual([canary])
  for (const node of fleet.nodes.values()) {
    if (node.name === canary || node.turn() === undefined) continue
    expect(node.turn()).toMatchObject({
      kind: 'wait',
      message: 'the other nodes cannot be read, so nothing changes here: no connection',
    })
  }
  fleet.cluster.setAway(false)
  await until(fleet, hasIt(good))
  expect(fleet.applied(good)).toHaveLength(40)
})

test('a second edit in the middle: the new change has an order of its own, and begins anew', async () => {
  const fleet = await startVirtualFleet(40, 1)
  fleet.edit(good)
  await fleet.time.run(20 * minute, () => fleet.applied(good).length >= 10)
  fleet.edit(bad)
  await until(fleet, hasStopped(bad))
  expect(fleet.applied(bad)).toEqual([inOrder(fleet, bad.hash)[0]])
  const next = editOf('next', usual)
  fleet.edit(next)
  await until(fleet, hasIt(next))
  expect(fleet.applied(next)).toHaveLength(40)
})

test('back to the rulesets of before: those that never left them prove them good, and nobody tries anything', async () => {
  const fleet = await startVirtualFleet(40, 1)
  const next = editOf('next', { ...usual, pauseMs: 10 * minute })
  fleet.edit(next)
  await fleet.time.run(60 * minute, () => fleet.applied(next).length > 1)
  fleet.edit(fleet.oldWith(usual))
  expect(await until(fleet, hasIt(fleet.oldWith(usual)))).toBeLessThan(5 * minute)
})

describe('a node that joins with nothing in force', () => {
  test('waits for the canaries, but not for its stage', async () => {
    const fleet = await startVirtualFleet(40, 1)
    const slow = editOf('slow', { ...usual, pauseMs: 60 * minute })
    fleet.edit(slow)
    // Stage 1 is done and stage 2 has an hour to wait.
    await fleet.time.run(120 * minute, () => fleet.applied(slow).length === 11)
    for (let index = 0; index < 10; index += 1) fleet.join(`late-${index}`)
    await fleet.time.run(fleet.time.now() + 5 * minute)
    const late = [...fleet.nodes.values()].filter(({ name }) => name.startsWith('late'))
    expect(late.map((node) => hasIt(slow)(node))).toEqual(late.map(() => true))
    // Some more, since a quarter of a larger fleet is more; the others go on waiting.
    expect(fleet.applied(slow).length).toBeLessThan(35)
    await until(fleet, hasIt(slow))
  })

  test('does not try what was rolled back', async () => {
    const fleet = await startVirtualFleet(40, 1)
    fleet.edit(bad)
    await until(fleet, hasStopped(bad))
    for (let index = 0; index < 40; index += 1) fleet.join(`late-${index}`)
    await fleet.time.run(fleet.time.now() + 30 * minute)
    expect(fleet.applied(bad)).toHaveLength(1)
    expect(await until(fleet, hasStopped(bad))).toBeLessThan(minute)
  })

  test('is one of many at the first installation: canaries, a witness, then all', async () => {
    for (const edit of [good, bad]) {
      const fleet = await startVirtualFleet(40, 1, null)
      fleet.edit(edit)
      expect(await until(fleet, edit === good ? hasIt(good) : hasStopped(bad))).toBeLessThan(10 * minute)
      expect(fleet.applied(edit)).toHaveLength(edit === good ? 40 : 1)
    }
  })
})

test('a node of a later stage that rolls back stops the stages after it', async () => {
  const fleet = await startVirtualFleet(40, 1)
  const third = inOrder(fleet, good.hash)[3]
  const picky = { ...good, effect: (name: string) => (name === third ? 'fails its probe' : 'works') } as const
  fleet.edit(picky)
  await until(fleet, (node) => hasIt(good)(node) || hasStopped(good)(node))
  expect(fleet.applied(good)).toHaveLength(11)
})

test('a node of a later stage that falls silent while it tries holds the next stage, but not for ever', async () => {
  const fleet = await startVirtualFleet(40, 1)
  const third = inOrder(fleet, good.hash)[3] ?? ''
  fleet.edit(good)
  await fleet.time.run(20 * minute, () => fleet.nodes.get(third)?.state() === 'Confirming')
  fleet.turnOff(third)
  await fleet.time.run(fleet.time.now() + 12 * minute)
  expect(fleet.applied(good)).toHaveLength(11)
  await until(fleet, (node) => node.name === third || hasIt(good)(node))
  expect(fleet.applied(good)).toHaveLength(40)
})

function inOrder(fleet: VirtualFleet, hash: string): readonly string[] {
  return orderOf(fleet.nodes.keys(), hash).names
}

function override(fleet: VirtualFleet, name: string): void {
  fleet.nodes.get(name)?.stopTaking()
  void fleet.cluster.patch(name, { 'node-firewall.io/mode': 'audit' })
}
