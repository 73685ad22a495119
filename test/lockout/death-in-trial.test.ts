import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { nodeName } from '../sandbox/control-plane/addresses.ts'
import { findCut, plainWays } from '../sandbox/control-plane/vitals.ts'
import { standingRules } from './standing-rules.ts'
import { goodSpec, inState, openTrialNode, passOnce, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const patient = { timeout: 30_000 }
/** Until the API servers are known, a failsafe reaches the balancer too: that must not count. */
const onlyPodsByBalancer = { apiServer: 'balancer' } as const

describe.each(await usableBackends())(
  'an agent that ends in the middle of a trial, on iptables-%s',
  (backend) => {
    let node: TrialNode
    let agent: AgentProcess
    beforeAll(async () => {
      node = await openTrialNode({ backend, deadlineSeconds: 5 })
      await node.take(onlyPodsByBalancer)
      agent = await node.start()
    })
    beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log.slice(-30))))
    afterAll(async () => node.close())

    test.each([
      ['SIGKILL', 'drop'],
      ['SIGTERM', 'reject'],
    ] as const)('%s: the next goes on with the trial, and rolls back', async (signal, action) => {
      await node.write(goodSpec(action.length + 3_000))
      await untilConfirmed(agent)
      const before = await standingRules(node.sandbox.node, backend)
      await node.write({ defaults: { egress: action } })
      const tried = await agent.next((line) => inState('Confirming')(line) && line.msg.includes('4 probes'))
      expect(await standingRules(node.sandbox.node, backend)).not.toBe(before)
      await (signal === 'SIGKILL' ? agent.kill() : agent.stop())
      expect(await standingRules(node.sandbox.node, backend)).not.toBe(before)

      agent = await node.start()
      const first = await agent.next(({ state }) => state !== undefined)
      expect(first).toMatchObject({ state: 'Confirming', ruleset: tried['ruleset'] })
      const { probe } = await agent.next(({ msg }) => msg === 'the change is rolled back')
      expect(probe).toBe('api server')
      await agent.next(inState('RolledBack'))
      expect(await standingRules(node.sandbox.node, backend)).toBe(before)
      expect(await findCut(node.sandbox, { ...plainWays, ...onlyPodsByBalancer }, node.kubeconfig())).toEqual(
        [],
      )

      const annotations = async () => node.sandbox.apiServer.annotations(nodeName)
      await expect.poll(annotations, patient).toMatchObject({
        'node-firewall.io/state': 'RolledBack',
        'node-firewall.io/message': expect.stringContaining('api server failed'),
      })
      await expect
        .poll(async () => rolledBackEvents(node), patient)
        .toContainEqual(
          expect.stringMatching(
            new RegExp(`^ruleset ${String(tried['ruleset'])} was rolled back, api server failed`),
          ),
        )
      await agent.kill()
      agent = await node.start()
      expect(await agent.next(({ state }) => state !== undefined)).toMatchObject({ state: 'RolledBack' })
      await passOnce(agent)
      expect(writesOf(agent)).toEqual([])
    })
  },
)

async function rolledBackEvents({ sandbox }: TrialNode): Promise<unknown[]> {
  const events = await sandbox.apiServer.events()
  return events.flatMap((event) => (event['reason'] === 'RolledBack' ? [event['message']] : []))
}
