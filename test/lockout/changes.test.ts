import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { harmlessRulesets } from '../kernel/bad-rulesets.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import { findCut, plainWays } from '../sandbox/control-plane/vitals.ts'
import { backendsFor, rowsFor } from './extent.ts'
import { standingRules } from './standing-rules.ts'
import { goodSpec, inState, openTrialNode, untilConfirmed } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const { stranger, dnsPod } = controlPlaneAddress
const egress = { direction: 'egress' } as const

const backends = await backendsFor('changes on a node in order')

describe.each(backends)('changes on a node that is in order, on iptables-%s', (backend) => {
  let node: TrialNode
  let agent: AgentProcess

  beforeAll(async () => {
    node = await openTrialNode({ backend })
    await node.sandbox.stranger.listen('tcp', 80)
    agent = await node.start()
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log.slice(-20))))
  afterAll(async () => node.close())

  test.each(harmlessRulesets.filter(({ ways }) => ways === undefined).map((row) => [row.name, row] as const))(
    '%s, but failsafes stand before it: is confirmed',
    async (_, { spec }) => {
      await node.write(spec)
      await untilConfirmed(agent)
      expect(await findCut(node.sandbox, plainWays, node.kubeconfig())).toEqual([])
    },
  )

  const others = harmlessRulesets.filter(({ ways }) => ways !== undefined)
  const elsewhere = rowsFor(
    others,
    'changes on other ways',
    ({ ways }) => ways?.apiServer === 'service' && ways.kubelet === 'balancer',
  ).map((row) => [row.name, row] as const)
  test.each(elsewhere)('%s: is confirmed', async (_, { spec, ways }) => {
    await agent.stop()
    await node.take(ways ?? {})
    agent = await node.start()
    await node.write(spec)
    await untilConfirmed(agent)
    expect(await findCut(node.sandbox, { ...plainWays, ...ways }, node.kubeconfig())).toEqual([])
  })

  test('DNS that was dead before cannot roll back a change', async () => {
    await node.sandbox.dns.setMood('silent')
    await node.write(goodSpec(2_001))
    const { msg } = await agent.next(({ msg: text }) => text.includes('3 probes decide'))
    expect(msg).toContain('is being tried')
    await untilConfirmed(agent)
    await node.sandbox.dns.setMood('answers')
  })

  test('rulesets that select this node no more are gone, and that is confirmed too', async () => {
    await node.write({ ...goodSpec(2_002), nodeSelector: { matchLabels: { pool: 'another' } } })
    await agent.next(({ msg }) => msg === 'the change is confirmed')
    await agent.next(inState('Off'))
    expect(await standingRules(node.sandbox.node, backend)).not.toContain('node-firewall')
    await node.write(goodSpec(2_003))
    await untilConfirmed(agent)
  })
})

describe.each(backends)('probes that decide, on iptables-%s', (backend) => {
  let node: TrialNode
  let agent: AgentProcess
  beforeAll(async () => {
    node = await openTrialNode({ backend, deadlineSeconds: 8 })
    await node.sandbox.stranger.listen('tcp', 80)
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log.slice(-20))))
  afterAll(async () => node.close())

  test('a probe of the ruleset itself rolls back what cuts it', async () => {
    agent = await node.start()
    await node.write(goodSpec(2_010))
    await untilConfirmed(agent)
    const before = await standingRules(node.sandbox.node, backend)
    const probes = [{ name: 'shop', tcp: `${stranger.ipv4}:80` }]
    const spec = (to: string) => ({
      probes,
      rules: [{ name: 'no shop', ...egress, action: 'reject', protocol: 'tcp', to: [to] }],
    })
    await node.write(spec('203.0.113.0/24'))
    const { probe, reason } = await agent.next(({ msg }) => msg === 'the change is rolled back')
    expect(probe).toBe('test/shop')
    expect(reason).toMatch(/^connecting to 203\.0\.113\.10:80: /)
    await agent.next(inState('RolledBack'))
    expect(await standingRules(node.sandbox.node, backend)).toBe(before)
    expect(await node.sandbox.node.probe({ protocol: 'tcp', address: stranger.ipv4, port: 80 })).toBe(
      'accepted',
    )
    await node.write(spec('203.0.113.128/25'))
    await untilConfirmed(agent)
    await agent.stop()
  })

  test('an API server that is away from the start cannot roll back a change', async () => {
    await node.sandbox.apiServer.refuseConnections()
    await node.sandbox.apiServer.cutConnections()
    agent = await node.start()
    // Nobody in the cluster can be asked; what cuts it off cannot be seen, and is not to blame.
    await node.write({
      rules: [{ name: 'no dns', ...egress, action: 'drop', protocol: 'udp', to: Object.values(dnsPod) }],
    })
    await untilConfirmed(agent)
    await node.sandbox.apiServer.acceptConnections()
    expect(await findCut(node.sandbox, plainWays, node.kubeconfig())).toEqual([])
  })
})
