import { afterAll, describe, expect, test } from 'vitest'
import { badRulesets } from '../kernel/bad-rulesets.ts'
import type { BadRuleset } from '../kernel/bad-rulesets.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { findCut, plainWays } from '../sandbox/control-plane/vitals.ts'
import { createPool } from './pool.ts'
import { standingRules } from './standing-rules.ts'
import { goodSpec, inState, openTrialNode, passOnce, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

/** Each row takes the deadline and some seconds more; most of it is waiting. */
const patient = { timeout: 120_000 }
const all = process.env['BAD_CHANGES'] === 'all'
/** Those that cut something else each, or by another way. */
const representative: Readonly<Record<string, readonly number[]>> = {
  nft: [0, 1, 5, 6, 10, 12],
  legacy: [6, 9],
}

describe.each(await usableBackends())('a change that cuts the node off, on iptables-%s', (backend) => {
  const pool = createPool(3, async () => openTrialNode({ backend, deadlineSeconds: 5 }))
  afterAll(async () => pool.close())
  const chosen = badRulesets.filter((_, index) => all || representative[backend]?.includes(index))
  if (chosen.length < badRulesets.length)
    console.warn(
      `SKIPPED: ${badRulesets.length - chosen.length} of ${badRulesets.length} bad changes on iptables-${backend}: npm run test:long has them all`,
    )

  const rows = chosen.map((row) => [row.name, row] as const)
  test.concurrent.each(rows)('%s: is rolled back', patient, async (_, row) =>
    pool.use(async (node) => beRolledBack(node, row)),
  )
})

async function beRolledBack(node: TrialNode, { spec, ways: some = {}, cuts }: BadRuleset): Promise<void> {
  const ways = { ...plainWays, ...some }
  await node.take(ways)
  await node.write(goodSpec(next()))
  let agent = await node.start()
  await untilConfirmed(agent)
  const before = await standingRules(node.sandbox.node, node.backend)

  const from = agent.log.length
  await node.write(spec)
  const { probe } = await agent.next(({ msg }) => msg === 'the change is rolled back')
  expect(probe).toBe(cuts[0])
  const outcome = await agent.next(inState('RolledBack'))
  expect(outcome.msg).toContain(`${probe} failed: `)
  const states = agent.log.slice(from).flatMap(({ state }) => (typeof state === 'string' ? [state] : []))
  expect(states.filter((state, index) => state !== states[index - 1])).toEqual(['Confirming', 'RolledBack'])
  expect(await standingRules(node.sandbox.node, node.backend)).toBe(before)
  expect(await findCut(node.sandbox, ways, node.kubeconfig())).toEqual([])

  const written = writesOf(agent).length
  for (let pass = 0; pass < 3; pass += 1) expect((await passOnce(agent))['state']).toBe('RolledBack')
  expect(writesOf(agent)).toHaveLength(written)
  await agent.stop()
  agent = await node.start()
  expect((await agent.next(({ state }) => state !== undefined))['state']).toBe('RolledBack')
  expect((await passOnce(agent))['state']).toBe('RolledBack')
  expect(writesOf(agent)).toEqual([])
  expect(await standingRules(node.sandbox.node, node.backend)).toBe(before)

  await node.write(goodSpec(next()))
  await untilConfirmed(agent)
  await agent.stop()
}

let latest = 1_000
/** A port that no ruleset before has closed. */
const next = () => (latest += 1)
