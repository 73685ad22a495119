import type { Client, Target } from './client.ts'
import type { Phase, Stage } from './phase.ts'
import { expectState, putAndWait } from './rule-phases.ts'
import { portRuleset } from './rules.ts'

const noClient = 'nobody outside of the cluster to send packets: name one with --client'

export const nodePorts: Phase = {
  title: 'filter: a NodePort is closed and opened to the outside by its own number, on every node',
  async run(stage) {
    const { client, server } = stage.site
    if (client === undefined) return noClient
    const { nodePort } = server
    await putAndWait(stage, portRuleset('node port open', 'accept', nodePort))
    await expectReach(stage, client, true)
    await putAndWait(stage, portRuleset('node port closed', 'reject', nodePort))
    await expectReach(stage, client, false)
    // The pod's own port is another one: a rule for it is none for the NodePort.
    await putAndWait(stage, portRuleset('node port open again', 'accept', nodePort))
    await expectReach(stage, client, true)
    return undefined
  },
}

export const upgrade: Phase = {
  title: 'upgrade: during a rolling update no packet passes that is denied',
  async run(stage) {
    const { site, tell } = stage
    const { client, server } = site
    await putAndWait(stage, portRuleset('node port closed for the update', 'reject', server.nodePort))
    const targets = await targetsOf(stage)
    const traffic = await client?.hammer(targets)
    const updated = await Promise.allSettled([site.replaceAgents()])
    const count = await traffic?.stop()
    if (updated[0].status === 'rejected') throw updated[0].reason
    if (count !== undefined) {
      const { passed, refused } = count
      tell(`   ${passed} of ${passed + refused} connections passed`)
      if (passed > 0) throw new Error(`${passed} connections passed during the update, expected none`)
      if (refused === 0) throw new Error('no connection was tried during the update')
    }
    await expectState(stage, 'Enforcing')
    if (client === undefined) return `the update is done, but there was ${noClient}`
    await putAndWait(stage, portRuleset('node port open after the update', 'accept', server.nodePort))
    await expectReach(stage, client, true)
    return undefined
  },
}

async function targetsOf({ site }: Stage): Promise<readonly Target[]> {
  return (await site.nodes()).map(({ address }) => ({ address, port: site.server.nodePort }))
}

async function expectReach(stage: Stage, client: Client, expected: boolean): Promise<void> {
  for (const target of await targetsOf(stage)) {
    const reached = await client.reaches(target)
    if (reached !== expected) {
      throw new Error(
        `${target.address} port ${target.port}: found ${wordFor(reached)}, expected ${wordFor(expected)}`,
      )
    }
  }
}

function wordFor(isOpen: boolean): string {
  return isOpen ? 'open' : 'closed'
}
