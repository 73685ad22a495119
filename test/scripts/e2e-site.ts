import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { connectNodes } from '../../agent/cluster/list-nodes.ts'
import { wait } from '../../agent/fleet/wait.ts'
import { createClient } from '../../scripts/e2e-parts/client.ts'
import type { Files, Site } from '../../scripts/e2e-parts/site.ts'
import { startApiServer } from '../cluster/api-server.ts'
import { operatorOf } from '../fleet/fleet-fixture.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const configMap = 'node-firewall-rules'
const node = 'test-node'

/**
 * A cluster of one node, for the phases of scripts/e2e: a real agent, real packets, and an API server of which the agent
 * knows no difference. What kubectl and the controllers do is done by hand.
 */
export async function createSandboxSite(overlay: Files) {
  const [sandbox, server] = await Promise.all([createCluster({ backend: 'nft' }), startApiServer({ node })])
  server.createNode(node)
  const mount = await createMount(overlay)
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-e2e-test-'))
  const stateDir = join(folder, 'state')
  const kept = { stateDir, lockFile: join(folder, 'lock') }
  const kubeconfig = server.kubeconfigFile
  let files: Files = overlay
  let agent: AgentProcess | undefined

  const start = async () => {
    const args = ['--watch-configmaps', configMap, '--backend', 'nft']
    agent = await startAgent(sandbox.node, { rules: mount.folder, kubeconfig, args, ...kept })
    await agent.next(({ state }) => state === 'Enforcing')
  }
  const run = async (...args: readonly string[]) => {
    const target = ['--target-pid', String(sandbox.node.pid), '--node', node]
    await execa(process.execPath, [main, ...args, ...target], { env: { KUBECONFIG: kubeconfig } })
  }
  const annotationsOf = () => server.getNode(node).metadata.annotations ?? {}

  const site: Site = {
    async deploy() {
      server.objects.putConfigMap(configMap, { data: files })
      await start()
    },
    nodes: async () => [
      { name: node, address: clusterAddress.node.ipv4, annotations: { ...annotationsOf() } },
    ],
    readRules: async () => files,
    async putRules(changes) {
      const changed = Object.entries({ ...files, ...changes })
      files = Object.fromEntries(changed.flatMap(([name, text]) => (text === null ? [] : [[name, text]])))
      server.objects.putConfigMap(configMap, { data: files })
      await mount.write(files)
    },
    async waitFor(wanted) {
      const rules = await mkdtemp(join(folder, 'rules-'))
      for (const [name, text] of Object.entries(wanted)) await writeFile(join(rules, name), text)
      const nodes = connectNodes({ getAccess: operatorOf(server) })
      const signal = new AbortController().signal
      const code = await wait({ ruleset: [rules], timeout: 400_000 }, { signal, nodes, tell: () => {} })
      if (code !== 0) throw new Error(`waiting for the rules: exit code ${code}`)
    },
    onNode: async (_, script) => (await sandbox.node.exec('sh', ['-c', script])).stdout,
    verify: async () => run('verify', '--rules', mount.folder, '--backend', 'nft'),
    async replaceAgents() {
      await agent?.stop()
      await start()
    },
    async uninstall() {
      await agent?.stop()
      agent = undefined
      const units = join(folder, 'units')
      await mkdir(units)
      await run('clean', '--state-dir', stateDir, '--lock-file', kept.lockFile, '--unit-dir', units)
    },
    leftFiles: async () => [stateDir, kept.lockFile].filter((path) => existsSync(path)),
    server: { podAddress: clusterAddress.pod.ipv4, nodePort: 30_080 },
    client: createClient((script) => {
      const { pid } = sandbox.internet
      return ['nsenter', '--target', String(pid), '--net', '--', 'bash', '-c', script]
    }),
  }
  return {
    site,
    async close() {
      await agent?.stop()
      await Promise.all([sandbox.close(), server.close(), mount.remove()])
      await rm(folder, { recursive: true })
    },
  }
}
