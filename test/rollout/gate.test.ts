import { expect, test } from 'vitest'
import { createRolloutGate } from '../../agent/rollout/gate.ts'
import type { AskedChange, RolloutGate } from '../../agent/rollout/gate.ts'
import { orderOf } from '../../agent/rollout/order.ts'
import { progressAnnotation } from '../../agent/rollout/peer.ts'
import type { Rollout, Ruleset } from '../../agent/ruleset/ruleset.ts'
import { rulesetWith } from '../policy/arbitrary.ts'
import { createVirtualCluster } from './virtual-cluster.ts'
import { createRandom, createVirtualTime } from './virtual-time.ts'

const minute = 60_000
const usual: Rollout = { canaries: 1, stage: { unit: 'percent', amount: 100 }, pauseMs: 0 }

/** A cluster of nodes that each have a gate and nothing else; by default all see each other as ready. */
function createGates(labels: Readonly<Record<string, Record<string, string>>>, seed = 1, isReady = true) {
  const random = createRandom(seed)
  const time = createVirtualTime()
  const cluster = createVirtualCluster(time, random)
  const names = Object.keys(labels)
  for (const name of names) cluster.add(name, labels[name])
  const written: string[] = []
  const gates = new Map<string, RolloutGate>()
  for (const nodeName of names) {
    const peers = names.map((name) => ({ name, ready: isReady || name === nodeName }))
    const gate = createRolloutGate({
      nodeName,
      peers: () => peers,
      listPeers: async () => cluster.list(nodeName),
      readPeer: async (name, how) => cluster.read(nodeName, name, how),
      async write(text) {
        await cluster.patch(nodeName, { [progressAnnotation]: text })
        written.push(`${nodeName} ${text}`)
      },
      clock: { now: time.now, random, wait: time.wait },
      onChange: () => {},
    })
    gates.set(nodeName, gate)
  }
  const ask = (name: string, hash: string, rulesets: readonly Ruleset[]) => {
    const change: AskedChange = { hash, rulesets, labels: labels[name] ?? {}, bare: false }
    return gates.get(name)?.ask(change)
  }
  return { time, cluster, written, gates, names, ask }
}

function nodes(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, {}]))
}

test('without a rollout it is everybody’s turn, and nobody is asked', async () => {
  const { ask, cluster, time } = createGates(nodes(2))
  expect(ask('n0', 'a', [rulesetWith([])])).toEqual({ kind: 'go' })
  await time.run(minute)
  expect(cluster.requests.size).toBe(0)
})

test('before the kernel is touched, the Node says so', async () => {
  const { ask, time, written } = createGates(nodes(1))
  const rulesets = [{ ...rulesetWith([]), rollout: usual }]
  expect(ask('n0', 'a', rulesets)).toMatchObject({ kind: 'wait' })
  await time.run(minute, () => ask('n0', 'a', rulesets)?.kind === 'go')
  expect(ask('n0', 'a', rulesets)).toEqual({ kind: 'go' })
  expect(written).toEqual([expect.stringMatching(/^n0 a claiming [0-9a-f]+$/), 'n0 a trying'])
})

test.each(Array.from({ length: 30 }, (_, seed) => [seed] as const))(
  'nodes that all believe they are alone do not all try it (%i)',
  async (seed) => {
    const canaries = 1 + (seed % 3)
    const { ask, time, names, written } = createGates(nodes(8), seed, false)
    const rulesets = [{ ...rulesetWith([]), rollout: { ...usual, canaries } }]
    const going = () => names.filter((name) => ask(name, 'a', rulesets)?.kind === 'go')
    going()
    await time.run(20 * minute, () => going().length === canaries)
    expect(going()).toHaveLength(canaries)
    await time.run(40 * minute)
    expect(going()).toHaveLength(canaries)
    expect(written.filter((text) => text.endsWith(' trying'))).toHaveLength(canaries)
  },
)

test('nodes that other rulesets select have a rollout of their own', async () => {
  const labels = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [`n${index}`, { pool: index < 50 ? 'web' : 'db' }]),
  )
  const { ask, gates, time, names } = createGates(labels)
  const rulesets = ['web', 'db'].map((pool) => ({
    ...rulesetWith([], { name: pool }),
    nodeSelector: { matchLabels: { pool } },
    rollout: usual,
  }))
  const hashOf = (name: string) => labels[name]?.['pool'] ?? ''
  const going = (pool: string) =>
    names.filter((name) => hashOf(name) === pool && ask(name, pool, rulesets)?.kind === 'go')
  const all = () => [...going('web'), ...going('db')]
  await time.run(20 * minute, () => all().length === 2)
  await time.run(25 * minute)
  const firstOf = (pool: string) => orderOf(names, pool).names.find((name) => hashOf(name) === pool)
  expect(going('web')).toEqual([firstOf('web')])
  expect(going('db')).toEqual([firstOf('db')])
  for (const name of going('db')) gates.get(name)?.settled('db', 'confirmed')
  await time.run(60 * minute, () => all().length === 11)
  expect([going('web').length, going('db').length]).toEqual([1, 11 - 1])
})

test('rulesets that were in force before anybody asked for a rollout prove themselves', async () => {
  const { ask, cluster, time } = createGates(nodes(3))
  const status = { 'node-firewall.io/state': 'Enforcing', 'node-firewall.io/ruleset': 'a' }
  const [first = '', second = '', third = ''] = orderOf(['n0', 'n1', 'n2'], 'a').names
  await Promise.all([cluster.patch(first, status), cluster.patch(second, status), time.run(1000)])
  const rulesets = [{ ...rulesetWith([]), rollout: usual }]
  await time.run(minute, () => ask(third, 'a', rulesets)?.kind === 'go')
  expect(ask(third, 'a', rulesets)).toEqual({ kind: 'go' })
})

test('a stop is lifted when the node that rolled back tries it again', async () => {
  const { ask, gates, time, names } = createGates(nodes(4))
  const rulesets = [{ ...rulesetWith([]), rollout: usual }]
  const [canary = '', ...others] = orderOf(names, 'a').names
  await time.run(5 * minute, () => ask(canary, 'a', rulesets)?.kind === 'go')
  gates.get(canary)?.settled('a', 'rolled-back')
  await time.run(10 * minute, () => others.every((name) => ask(name, 'a', rulesets)?.kind === 'stopped'))
  expect(ask(others[0] ?? '', 'a', rulesets)).toEqual({
    kind: 'stopped',
    by: canary,
    message: `ruleset a goes no further: ${canary} rolled it back`,
  })
  gates.get(canary)?.settled('a', 'confirmed')
  await time.run(20 * minute, () => ask(others[0] ?? '', 'a', rulesets)?.kind === 'go')
  expect(ask(others[0] ?? '', 'a', rulesets)).toEqual({ kind: 'go' })
})

test.each([
  ['with a rollout', (gate: RolloutGate) => gate.settled('a', 'confirmed'), 'a confirmed'],
  ['without one', (gate: RolloutGate) => gate.leave(), 'b waiting'],
] as const)(
  'a change that was taken back for rulesets %s goes no further, and has to wait again',
  async (_, takeBack, told) => {
    const { ask, gates, time, names, written } = createGates(nodes(4))
    const rulesets = [{ ...rulesetWith([]), rollout: usual }]
    const [canary = '', other = ''] = orderOf(names, 'b').names
    const askBoth = () => [canary, other].map((name) => ask(name, 'b', rulesets)?.kind)
    await time.run(5 * minute, () => askBoth()[0] === 'go')
    expect(askBoth()).toEqual(['go', 'wait'])

    for (const name of [canary, other]) takeBack(gates.get(name) as RolloutGate)
    await time.run(minute)
    const { length } = written
    expect(written.slice(-2).toSorted()).toEqual([canary, other].map((name) => `${name} ${told}`).toSorted())
    await time.run(120 * minute)
    expect(written).toHaveLength(length)
    expect(askBoth()).toEqual(['wait', 'wait'])
  },
)

test('a node that somebody has switched off while it waited for its turn holds nobody up', async () => {
  const { ask, cluster, time, names } = createGates(nodes(3))
  const rulesets = [{ ...rulesetWith([]), rollout: usual }]
  const [first = '', second = ''] = orderOf(names, 'a').names
  const standsBefore = { [progressAnnotation]: 'a waiting', 'node-firewall.io/mode': 'off' }
  await Promise.all([cluster.patch(first, standsBefore), time.run(1000)])
  await time.run(5 * minute, () => ask(second, 'a', rulesets)?.kind === 'go')
  expect(ask(second, 'a', rulesets)).toEqual({ kind: 'go' })
})
