import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AgentProcess } from '../sandbox/agent.ts'
import { nodeName } from '../sandbox/control-plane/addresses.ts'
import { findCut, plainWays } from '../sandbox/control-plane/vitals.ts'
import { backendsFor, rowsFor } from './extent.ts'
import { standingRules } from './standing-rules.ts'
import { goodSpec, inState, openTrialNode, passOnce, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const patient = { timeout: 30_000 }
/** Until the API servers are known, a rule for whoever may be one reaches the balancer too: that must not count. */
const onlyPodsByBalancer = { apiServer: 'balancer' } as const

/** How an agent ends, the change it ends in, and the probe that fails. */
const ends = [
  ['SIGKILL', { failsafe: { apiServers: 'off' }, defaults: { egress: 'drop' } }, 'api server'],
  ['SIGTERM', { failsafe: { apiServers: 'off', dns: 'off' }, defaults: { egress: 'reject' } }, 'api server'],
  [
    'SIGKILL',
    {
      failsafe: { dns: 'off' },
      rules: [{ name: 'dns', direction: 'egress', action: 'drop', protocol: 'udp', ports: [53] }],
    },
    'cluster dns',
  ],
] as const
const rows = rowsFor(ends, 'ways for an agent to end in a trial', (_row, index) => index === 0)
const backends = await backendsFor('the death of an agent in a trial')

describe.each(backends)('an agent that ends in the middle of a trial, on iptables-%s', (backend) => {
  let node: TrialNode
  let agent: AgentProcess
  let closed = 3_000
  beforeAll(async () => {
    node = await openTrialNode({ backend, deadlineSeconds: 8 })
    await node.take(onlyPodsByBalancer)
    agent = await node.start()
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log.slice(-30))))
  afterAll(async () => node.close())

  test.each(rows)(
    '%s: the next goes on with the trial of %j, and rolls back as %s fails',
    async (signal, spec, failing) => {
      closed += 1
      await node.write(goodSpec(closed))
      await untilConfirmed(agent)
      const before = await standingRules(node.sandbox.node, backend)
      await node.write(spec)
      const tried = await agent.next((line) => inState('Confirming')(line) && line.msg.includes('4 probes'))
      expect(await standingRules(node.sandbox.node, backend)).not.toBe(before)
      await (signal === 'SIGKILL' ? agent.kill() : agent.stop())
      expect(await standingRules(node.sandbox.node, backend)).not.toBe(before)

      agent = await node.start()
      const first = await agent.next(({ state }) => state !== undefined)
      expect(first).toMatchObject({ state: 'Confirming', ruleset: tried['ruleset'] })
      const { probe } = await agent.next(({ msg }) => msg === 'the change is rolled back')
      expect(probe).toBe(failing)
      await agent.next(inState('RolledBack'))
      expect(await standingRules(node.sandbox.node, backend)).toBe(before)
      expect(await findCut(node.sandbox, { ...plainWays, ...onlyPodsByBalancer }, node.kubeconfig())).toEqual(
        [],
      )

      const annotations = async () => node.sandbox.apiServer.annotations(nodeName)
      await expect.poll(annotations, patient).toMatchObject({
        'node-firewall.io/state': 'RolledBack',
        'node-firewall.io/message': expect.stringContaining(`${failing} failed`),
      })
      await expect
        .poll(async () => rolledBackEvents(node), patient)
        .toContainEqual(
          expect.stringMatching(
            new RegExp(`^ruleset ${String(tried['ruleset'])} was rolled back, ${failing} failed`),
          ),
        )
      await agent.kill()
      agent = await node.start()
      expect(await agent.next(({ state }) => state !== undefined)).toMatchObject({ state: 'RolledBack' })
      await passOnce(agent)
      expect(writesOf(agent)).toEqual([])
    },
  )
})

async function rolledBackEvents({ sandbox }: TrialNode): Promise<unknown[]> {
  const events = await sandbox.apiServer.events()
  return events.flatMap((event) => (event['reason'] === 'RolledBack' ? [event['message']] : []))
}
