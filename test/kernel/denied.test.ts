import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { rulesetOf } from './enforce.ts'

const backends = await usableBackends()

const spec = {
  interfaces: { external: ['eth0'] },
  defaults: { ingress: 'drop', log: true },
  rules: [
    { name: 'no ssh', action: 'drop', protocol: 'tcp', ports: [22], log: true },
    { name: 'api', action: 'accept', protocol: 'tcp', ports: [6443], log: true },
    { name: 'web only counted', action: 'reject', protocol: 'tcp', ports: [9090], audit: true },
    { name: 'no web', action: 'reject', protocol: 'tcp', ports: [30_080], log: true },
    {
      name: 'pods must not go out by dns or otherwise to anybody in the world',
      direction: 'egress',
      endpoint: 'pods',
      action: 'reject',
      protocol: 'udp',
      ports: [5353],
      log: true,
    },
  ],
}

const told = ({ msg }: LogLine) => /^(denied|would be denied|accepted)/.test(msg)

describe.each(backends)('what rules log on iptables-%s', (backend) => {
  let cluster: Cluster
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess

  beforeAll(async () => {
    cluster = await createCluster({ backend })
    mount = await createMount({ 'worker.yaml': rulesetOf(spec, 'worker') })
    agent = await startAgent(cluster.node, { rules: mount.folder, args: ['--backend', backend] })
    await agent.next(({ state }) => state === 'Enforcing')
  })
  afterAll(async () => {
    await agent.stop()
    await mount.remove()
    await cluster.close()
  })

  describe.each(families)('%s', (family) => {
    test.each([
      ['a port of the node', 'internet', 'node', 'tcp', 22, 'no ssh', 'drop', { in: 'eth0' }],
      ['what is accepted', 'internet', 'node', 'tcp', 6443, 'api', 'accept', { in: 'eth0' }],
      ['the default', 'internet', 'node', 'udp', 8472, 'default ingress', 'drop', { in: 'eth0' }],
      ['what is audited', 'internet', 'node', 'tcp', 9090, 'web only counted', 'audit', { in: 'eth0' }],
      [
        'pod egress',
        'pod',
        'internet',
        'udp',
        5353,
        'pods must not go out by dns or otherwise to anybody in the world',
        'reject',
        { in: 'cni0', out: 'eth0' },
      ],
    ] as const)('%s', async (_, from, to, protocol, port, rule, verdict, interfaces) => {
      await cluster[from].probe({ protocol, address: clusterAddress[to][family], port, silenceMs: 50 })
      const { level, time, fromPort, msg, ...line } = await agent.next(told)
      expect(line).toEqual({
        verdict,
        ruleset: 'worker',
        rule,
        protocol,
        from: clusterAddress[from][family],
        to: clusterAddress[to][family],
        port,
        ...interfaces,
      })
      expect(fromPort).toBeGreaterThan(0)
    })

    test('a NodePort, which has been translated', async () => {
      await cluster.internet.probe({ protocol: 'tcp', address: clusterAddress.node[family], port: 30_080 })
      const line = await agent.next(told)
      expect(line).toMatchObject({ ruleset: 'worker', rule: 'no web', from: clusterAddress.internet[family] })
      console.log(line)
    })
  })
})
