import { afterAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { badRulesets } from '../kernel/bad-rulesets.ts'
import type { BadRuleset } from '../kernel/bad-rulesets.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { findCut, plainWays } from '../sandbox/control-plane/vitals.ts'
import { rowsFor } from './extent.ts'
import { createPool } from './pool.ts'
import { standingRules } from './standing-rules.ts'
import { goodSpec, inState, openTrialNode, passOnce, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

/** A row waits for a node, for its deadline, and on a busy machine for all else. */
const patient = { timeout: 300_000 }
/** What is cut from outside, by a kernel set over IPv6, and all at once; the other rows cut less. */
const representatives: Readonly<Record<Backend, readonly string[]>> = {
  nft: ['the same list against what comes in', 'a long list of bad addresses with the load balancer on it'],
  legacy: ['all failsafes are off, and all is closed'],
}

describe.each(await usableBackends())('a change that cuts the node off, on iptables-%s', (backend) => {
  const pool = createPool(2, async () => openTrialNode({ backend, deadlineSeconds: 8 }))
  afterAll(async () => pool.close())
  const chosen = rowsFor(badRulesets, `bad changes on iptables-${backend}`, ({ name }) =>
    representatives[backend].includes(name),
  )
  const rows = chosen.map((row) => [row.name, row] as const)
  test.concurrent.each(rows)('%s: is rolled back', patient, async (_, row) => {
    expect(await pool.use(async (node) => beRolledBack(node, row))).toBe(row.cuts[0])
  })
})

/** Resolves to the probe that failed. */
async function beRolledBack(node: TrialNode, { spec, ways: some = {} }: BadRuleset): Promise<unknown> {
  const ways = { ...plainWays, ...some }
  await node.take(ways)
  await node.write(goodSpec(next()))
  let agent = await node.start()
  await untilConfirmed(agent)
  const before = await standingRules(node.sandbox.node, node.backend)

  const from = agent.log.length
  // What a row with the same spec has brought into quarantine on this node is not tried again.
  await node.write(spec, `bad-${next()}`)
  const { probe } = await agent.next(({ msg }) => msg === 'the change is rolled back')
  const outcome = await agent.next(inState('RolledBack'))
  expect(outcome.msg).toContain(`${String(probe)} failed: `)
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
  return probe
}

let latest = 1_000
/** A port that no ruleset before has closed. */
const next = () => (latest += 1)
