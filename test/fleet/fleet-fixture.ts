import { onTestFinished } from 'vitest'
import type { Terminal } from '../../agent/fleet/terminal.ts'
import type { GetAccess } from '../../agent/cluster/access.ts'
import { kubeconfigAccess } from '../../agent/cluster/kubeconfig.ts'
import { connectNodes } from '../../agent/cluster/list-nodes.ts'
import type { Nodes, NodesOptions } from '../../agent/cluster/list-nodes.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { startApiServer } from '../cluster/cluster-server.ts'
import { hurriedClock } from '../cluster/own-node-fixture.ts'

/** A cluster, until the end of the test. */
export async function startCluster(
  nodes: Readonly<Record<string, Readonly<Record<string, string>>>>,
  labels: Readonly<Record<string, string>> = {},
): Promise<ApiServer> {
  const server = await startApiServer({ rules: [{ verbs: ['list', 'watch'], resources: ['nodes'] }] })
  onTestFinished(() => server.close())
  for (const [name, annotations] of Object.entries(nodes)) server.createNode(name, labels, annotations)
  return server
}

export function connect(server: ApiServer, options: Partial<NodesOptions> = {}): Nodes {
  const getAccess = kubeconfigAccess(server.kubeconfigFile)
  return connectNodes({ getAccess, clock: hurriedClock().clock, ...options })
}

/** Who may look at all Nodes, beside the agent. */
export function operatorOf(server: ApiServer): GetAccess {
  const token = server.createToken({
    user: 'operator',
    rules: [{ verbs: ['list', 'watch'], resources: ['nodes'] }],
  })
  const getAccess = kubeconfigAccess(server.kubeconfigFile)
  return async () => ({ ...(await getAccess()), headers: { authorization: `Bearer ${token}` } })
}

/** A terminal that keeps what is printed; with a size it is a screen, on which each frame is one write. */
export function createTerminal(size?: { width: number; height: number }) {
  const written: string[] = []
  const told: string[] = []
  const terminal: Terminal = {
    isScreen: size !== undefined,
    size: () => size ?? {},
    write: (text) => void written.push(text),
    tell: (line) => void told.push(line),
  }
  return { terminal, written, told, text: () => written.join('') }
}
