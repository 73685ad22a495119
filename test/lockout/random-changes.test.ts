import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { readNodeFacts } from '../../agent/host/network.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { expectCuts } from '../kernel/expected-cuts.ts'
import { randomRulesets } from '../kernel/random-rulesets.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { podNetwork } from '../sandbox/cluster-addresses.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import type { Ways } from '../sandbox/control-plane/vitals.ts'
import { findCut } from '../sandbox/control-plane/vitals.ts'
import { createPool } from './pool.ts'
import { goodSpec, inState, openTrialNode, passOnce } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const all = Number(process.env['RANDOM_RULESETS'] ?? '2')
const seed = Number(process.env['RANDOM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const lanes = 2
/** What the sandbox's API server tells of it. */
const cluster = {
  apiServers: Object.values(controlPlaneAddress.endpoint).map(parseCidr),
  nodes: [parseCidr(controlPlaneAddress.nodePrivate.ipv4)],
  podCIDRs: Object.values(podNetwork.node).map(parseCidr),
}

describe.each(await usableBackends())('random changes on iptables-%s', (backend) => {
  const pool = createPool(lanes, async () => openTrialNode({ backend, deadlineSeconds: 8 }))
  afterAll(async () => pool.close())
  const runs = backend === 'nft' ? all : Math.ceil(all / 4)
  if (all < 100)
    console.warn(`SKIPPED: all but ${runs} random changes on iptables-${backend}: npm run test:long has 100`)

  test(`never lock anybody out: ${runs}, seed ${seed}`, { timeout: 60_000 + runs * 60_000 }, async () => {
    const changes = fc.sample(randomRulesets(), { seed, numRuns: runs })
    const outcomes = await Promise.all(
      changes.map(async (change, index) =>
        pool.use(async (node) => judge(node, change, index)).catch((error: unknown) => String(error)),
      ),
    )
    const [confirmed, rolledBack] = ['Enforcing', 'RolledBack'].map(
      (state) => outcomes.filter((outcome) => outcome === state).length,
    )
    console.info(
      `${runs} random changes on iptables-${backend}, seed ${seed}: ${confirmed} confirmed, ${rolledBack} rolled back`,
    )
    expect(outcomes.filter((outcome) => outcome !== 'Enforcing' && outcome !== 'RolledBack')).toEqual([])
  })
})

type Change = ReturnType<typeof randomRulesets> extends fc.Arbitrary<infer T> ? T : never

/** Tries a change on a node whose rules are in order; resolves to the state it ends in, or to what is wrong with it. */
async function judge(node: TrialNode, { spec, ways }: Change, index: number): Promise<string> {
  await node.take(ways)
  await node.write(goodSpec(10_000 + index))
  const agent = await node.start()
  await agent.next(inState('Enforcing'))
  const from = agent.log.length
  await node.write(spec)
  const { state } = await agent.next(inState('Enforcing', 'RolledBack', 'Off', 'Invalid'))
  const isJustified = state !== 'RolledBack' || (await cutsAnything(node, spec, ways))
  const cut = await findCut(node.sandbox, ways, node.kubeconfig())
  const after = (await passOnce(agent))['state']
  const log = agent.log.slice(from).map(({ msg, probes, probe }) => [msg, probes, probe].join(' '))
  await agent.stop()
  if (cut.length === 0 && after === state && isJustified) return String(state)
  return JSON.stringify({ index, state, after, cut, isJustified, spec, ways, log })
}

/** Whether its rules take anything from the node, in whichever family: a change that does not must not be rolled back. */
async function cutsAnything({ sandbox }: TrialNode, spec: object, ways: Ways): Promise<boolean> {
  const { rulesets } = parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(rulesetOf(spec)) }])
  const facts = await readNodeFacts(sandbox.node.exec)
  const policy = resolvePolicy(rulesets, { facts, cluster, now: Date.now() })
  return families.some((family) => expectCuts(policy, { ...ways, family }).length > 0)
}
