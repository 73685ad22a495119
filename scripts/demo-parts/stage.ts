import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { createMount, startAgent } from '../../test/sandbox/agent.ts'
import type { AgentProcess } from '../../test/sandbox/agent.ts'
import { createCluster } from '../../test/sandbox/cluster.ts'
import type { Cluster } from '../../test/sandbox/cluster.ts'
import { untilFollowers } from './attention.ts'
import type { Cleanup } from './cleanup.ts'
import { createStopwatch } from './kernel.ts'
import type { Stopwatch } from './kernel.ts'
import { openServices } from './visits.ts'

/** The node and its visitors, and what the agent is given. */
export type Stage = {
  readonly sandbox: Cluster
  readonly stopwatch: Stopwatch
  /** The folder of rules. */
  readonly folder: string
  /** Swaps the rules as the kubelet does: the preset, and a ruleset beside it. */
  readonly swapRules: (ownRuleset: string) => Promise<void>
  readonly statusFile: string
  readonly startAgent: () => Promise<AgentProcess>
  /** Runs `node-firewall clean`; returns what it printed. */
  readonly clean: () => Promise<string>
}

const root = join(import.meta.dirname, '..', '..')
const main = join(root, 'agent', 'main.ts')

/** Makes everything but the agent, which is a part of the story. */
export async function setStage(cleanup: Cleanup): Promise<Stage> {
  // What the caller's environment says is meant for another node.
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('NODE_FIREWALL_')) Reflect.deleteProperty(process.env, name)
  }
  process.env['XTABLES_LOCKFILE'] = join(cleanup.folder, 'xtables.lock')
  const statusFile = join(cleanup.folder, 'status.json')
  const preset = await readFile(join(root, 'rulesets', 'lke-worker', 'lke-worker.yaml'), 'utf8')
  const mount = await createMount({ 'lke-worker.yaml': preset })
  const sandbox = await cleanup.end(createCluster({ backend: 'nft' }), async (made) => made.close())
  const stopwatch = createStopwatch(sandbox.node)
  await cleanup.end(Promise.resolve(stopwatch), async () => stopwatch.close())
  await untilFollowers(sandbox.node.pid, 1)
  await openServices(sandbox)
  return {
    sandbox,
    stopwatch,
    folder: mount.folder,
    swapRules: async (ownRuleset) => mount.write({ 'lke-worker.yaml': preset, 'own.yaml': ownRuleset }),
    statusFile,
    async startAgent() {
      const args = ['--node', 'demo-node', '--status-file', statusFile]
      const starting = startAgent(sandbox.node, { rules: mount.folder, args })
      const agent = await cleanup.end(starting, async (started) => started.stop())
      process.on('exit', () => agent.signal('SIGKILL'))
      return agent
    },
    async clean() {
      const target = ['--target-pid', String(sandbox.node.pid), '--status-file', statusFile]
      return (await execa(process.execPath, [main, 'clean', ...target])).stdout
    },
  }
}
