import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { randomRulesets } from '../kernel/random-rulesets.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { findCut } from '../sandbox/control-plane/vitals.ts'
import { createPool } from './pool.ts'
import { goodSpec, inState, openTrialNode, passOnce } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const all = Number(process.env['RANDOM_CHANGES'] ?? '4')
const seed = Number(process.env['RANDOM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const lanes = 2

describe.each(await usableBackends())('random changes on iptables-%s', (backend) => {
  const pool = createPool(lanes, async () => openTrialNode({ backend, deadlineSeconds: 6 }))
  afterAll(async () => pool.close())
  const runs = backend === 'nft' ? all : Math.ceil(all / 4)
  if (all < 100)
    console.warn(`SKIPPED: all but ${runs} random changes on iptables-${backend}: npm run test:long has 100`)

  test(`never lock anybody out: ${runs}, seed ${seed}`, { timeout: 60_000 + runs * 60_000 }, async () => {
    const changes = fc.sample(randomRulesets(), { seed, numRuns: runs })
    const outcomes = await Promise.all(
      changes.map(async (change, index) => pool.use(async (node) => judge(node, change, index))),
    )
    const rolledBack = outcomes.filter((outcome) => outcome === 'RolledBack').length
    console.info(`${runs} random changes on iptables-${backend}, seed ${seed}: ${rolledBack} rolled back`)
  })
})

type Change = ReturnType<typeof randomRulesets> extends fc.Arbitrary<infer T> ? T : never

/** Tries a change on a node whose rules are in order; resolves to where it ended. */
async function judge(node: TrialNode, { spec, ways }: Change, index: number): Promise<unknown> {
  await node.take(ways)
  await node.write(goodSpec(10_000 + index))
  const agent = await node.start()
  await agent.next(inState('Enforcing'))
  const from = agent.log.length
  await node.write(spec)
  const { state } = await agent.next((line) => inState('Enforcing', 'RolledBack', 'Off', 'Invalid')(line))
  const told = JSON.stringify({ index, state, spec, ways, log: agent.log.slice(from).map(({ msg }) => msg) })
  expect(await findCut(node.sandbox, ways, node.kubeconfig()), told).toEqual([])
  expect(['Enforcing', 'RolledBack'], told).toContain(state)
  expect((await passOnce(agent))['state'], told).toBe(state)
  await agent.stop()
  return state
}
