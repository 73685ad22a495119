import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { controlPlaneAddress, nodeName } from '../sandbox/control-plane/addresses.ts'
import { inState, openTrialNode, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const patient = { timeout: 30_000, interval: 20 }
const closed = { defaults: { ingress: 'reject' } }

describe.each(await usableBackends())('somebody overrides the rules of a node, on iptables-%s', (backend) => {
  let node: TrialNode
  let agent: AgentProcess

  beforeAll(async () => {
    node = await openTrialNode({ backend })
    await node.sandbox.node.listen('tcp', 80)
    await node.write(closed)
    agent = await node.start()
    await untilConfirmed(agent)
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log.slice(-20))))
  afterEach(async () => {
    await Promise.all([rm(file(), { force: true }), annotate(null)])
    await expect.poll(async () => (await status()).warnings.join(), patient).not.toContain('mode')
  })
  afterAll(async () => node.close())

  const annotate = async (mode: string | null) =>
    node.sandbox.apiServer.changeNode(nodeName, { annotations: { 'node-firewall.io/mode': mode } })
  const file = () => join(node.stateDir, 'mode')
  const write = async (mode: string) => writeFile(file(), `${mode}\n`)
  const visit = async () =>
    node.sandbox.stranger.probe({ protocol: 'tcp', address: controlPlaneAddress.node.ipv4, port: 80 })
  const visitMeets = async (outcome: string) => expect.poll(visit, patient).toBe(outcome)
  /** What the agent said of itself last. */
  const status = async () => {
    const all = await agent.status()
    const details = JSON.parse(all['node-firewall.io/status'] ?? '{}') as {
      mode?: { mode: string; by: string }
      warnings: string[]
    }
    return { state: all['node-firewall.io/state'], message: all['node-firewall.io/message'], ...details }
  }
  const statusIs = async (wanted: object) => expect.poll(status, patient).toMatchObject(wanted)
  const byAnnotation = 'the annotation node-firewall.io/mode'
  const byFile = expect.stringContaining('/mode on the host') as string

  test.each([
    ['off', 'Off'],
    ['audit', 'Auditing'],
  ] as const)('by the annotation "%s", until it is removed', async (mode, state) => {
    expect(await visit()).toBe('refused')
    await annotate(mode)
    await visitMeets('accepted')
    await statusIs({
      state,
      mode: { mode, by: byAnnotation },
      message: expect.stringContaining('by order of'),
    })
    const { apiServer } = node.sandbox
    const onNode = async () => (await apiServer.annotations(nodeName))['node-firewall.io/state']
    await expect.poll(onNode, patient).toBe(state)
    await annotate(null)
    await visitMeets('refused')
    await statusIs({ state: 'Enforcing' })
  })

  test('by a file, when the API server is gone; with the annotation too, who opens more wins', async () => {
    await annotate('audit')
    await visitMeets('accepted')
    await node.sandbox.apiServer.refuseConnections()
    await node.sandbox.apiServer.cutConnections()
    await write('off')
    await statusIs({ state: 'Off', mode: { mode: 'off', by: byFile } })
    expect((await status()).warnings).toContain(`${byAnnotation} says audit; what opens more wins`)

    const written = writesOf(agent).length
    await agent.kill()
    agent = await node.start()
    expect(await agent.next(({ state }) => state !== undefined)).toMatchObject({ state: 'Off' })
    await rm(file())
    // The annotation is remembered, though nobody can be asked for it.
    await agent.next(inState('Auditing'))
    await statusIs({ state: 'Auditing', mode: { mode: 'audit', by: byAnnotation } })
    expect(await visit()).toBe('accepted')
    expect(written).toBeGreaterThan(0)

    await node.sandbox.apiServer.acceptConnections()
    await annotate(null)
    await visitMeets('refused')
    await statusIs({ state: 'Enforcing' })
  })

  test('by a file alone: in force, and over', async () => {
    for (const [mode, state] of [
      ['audit', 'Auditing'],
      ['off', 'Off'],
    ] as const) {
      await write(mode)
      await statusIs({ state, mode: { mode, by: byFile } })
      expect(await visit()).toBe('accepted')
    }
    await rm(file())
    await visitMeets('refused')
    await statusIs({ state: 'Enforcing' })
  })

  test.each([
    ['annotation', 'the annotation node-firewall.io/mode: found "disabled", expected off, audit or enforce'],
    ['file', '/mode: found "disabled", expected off or audit'],
  ] as const)('not by a word in the %s that means nothing, which is told of', async (place, warning) => {
    await (place === 'file' ? write('disabled') : annotate('disabled'))
    const warnings = expect.arrayContaining([expect.stringContaining(warning)]) as string[]
    await statusIs({ state: 'Enforcing', warnings })
    expect(await visit()).toBe('refused')
  })

  test('in the middle of a trial, which begins anew when it is over', async () => {
    // The kubelet is late, so the trial cannot end by itself.
    await node.sandbox.kubelet.pauseLease()
    await node.write({ defaults: { ingress: 'drop' } })
    await visitMeets('silence')
    await statusIs({ state: 'Confirming' })
    await write('off')
    await visitMeets('accepted')
    await statusIs({ state: 'Off' })
    await rm(file())
    await visitMeets('silence')
    await statusIs({ state: 'Confirming' })
    await node.sandbox.kubelet.resumeLease()
    await statusIs({ state: 'Enforcing' })
    expect(await visit()).toBe('silence')
  })
})
