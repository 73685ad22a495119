import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { openNetwork } from '../../agent/daemon/node.ts'
import { clearBackend } from '../../agent/netfilter/clear.ts'
import { startAgent } from './agent-process.ts'
import { createConfigMap } from './config-map.ts'
import { waitForOutcome } from './in-force.ts'
import { hintBackend } from './kubelet.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { namedRules, togglePort } from './rulesets.ts'
import { describeSamples, describeSpread, median } from './statistics.ts'
import { withSandbox } from './workshop.ts'
import type { Workshop } from './workshop.ts'

const starts = 15

/** From the start of the agent's process, on a node that has no rules, to the first connection that is refused. */
export async function measureStart({ folder, program }: Workshop): Promise<Row[]> {
  const samples = await withSandbox(async ({ node, internet }) => {
    await node.listen('tcp', togglePort)
    const rules = join(await mkdtemp(join(folder, 'start-')), 'rules')
    await createConfigMap(rules, namedRules(12, false))
    await hintBackend(node, 'nft')
    const { tables } = await openNetwork(node.pid, 'nft')
    const starting: number[] = []
    for (let round = 0; round < starts; round += 1) {
      await clearBackend(tables, 'nft')
      await waitForOutcome(internet, 'accepted')
      const agent = await startAgent({ program, rules, targetPid: node.pid })
      starting.push((await waitForOutcome(internet, 'refused')) - agent.startedAt)
      await agent.stop()
    }
    return starting
  })
  const what = 'start of the process to in force, 12 rules, nft'
  console.log(`  ${what}: ${describeSamples(samples)}`)
  return [atMost(what, median(samples), 700, 'ms', describeSpread(samples))]
}
