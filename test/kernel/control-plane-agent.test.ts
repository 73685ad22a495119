import { readlink } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { agentPod, controlPlaneAddress, nodeName } from '../sandbox/control-plane/addresses.ts'
import { apiServerUrl, createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'
import { rulesetOf } from './enforce.ts'

const patient = { timeout: 30_000 }

describe.each(await usableBackends())(
  'the agent on a node with its control plane, on iptables-%s',
  (backend) => {
    let sandbox: ControlPlane
    let mount: Awaited<ReturnType<typeof createMount>>
    let agent: AgentProcess | undefined

    beforeEach(async () => {
      sandbox = await createControlPlane({ backend, leaseEveryMs: 100 })
      mount = await createMount({
        'worker.yaml': rulesetOf({ defaults: { ingress: 'reject' } }),
      })
      await sandbox.node.listen('tcp', 80)
    })
    afterEach(async () => {
      await agent?.stop()
      await mount.remove()
      await sandbox.close()
    })

    test.each([
      ['endpoint', 'ipv4'],
      ['service', 'ipv6'],
    ] as const)('finds the %s over %s, and reports that it enforces', async (via, family) => {
      const kubeconfig = await sandbox.apiServer.writeKubeconfig('agent', apiServerUrl(via, family))
      const setting = {
        rules: mount.folder,
        args: ['--backend', backend, '--pod', agentPod.name],
        kubeconfig,
        inNetwork: true,
      }
      agent = await startAgent(sandbox.node, setting)
      const { pid } = agent
      const own = await readlink(`/proc/${sandbox.node.pid}/ns/net`)
      await expect.poll(async () => readlink(`/proc/${pid}/ns/net`), patient).toBe(own)
      const state = async () => (await sandbox.apiServer.annotations(nodeName))['node-firewall.io/state']
      await expect.poll(state, patient).toBe('Enforcing')
      const probe = { protocol: 'tcp', address: controlPlaneAddress.node[family], port: 80 } as const
      expect(await sandbox.stranger.probe(probe)).toBe('refused')
      expect(await sandbox.client.readLog(kubeconfig)).toContain('a line of a log')
      await agent.kill()
      expect(await sandbox.stranger.probe(probe)).toBe('refused')
      agent = await startAgent(sandbox.node, setting)
      await agent.next((line) => line['state'] === 'Enforcing')
      expect(agent.log.filter(({ msg }) => msg === 'rules written')).toEqual([])
    })
  },
)
