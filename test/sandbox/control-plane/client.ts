/*
 * A process that asks for what a node lives on, always over new connections.
 */
import { Resolver } from 'node:dns/promises'
import type { GetAccess } from '../../../agent/cluster/access.ts'
import { connectClient } from '../../../agent/cluster/api-client.ts'
import { connectOwnNode } from '../../../agent/cluster/own-node.ts'
import { kubeconfigAccess } from '../../../agent/cluster/kubeconfig.ts'
import { serveMethods } from '../service.ts'
import { agentPod, nodeName } from './addresses.ts'

/** Answers in a sandbox take a few ms. */
const timeoutMs = 1_000

const methods = {
  /** Reads the Node by the API server of a kubeconfig; rejects when that cannot be reached in time. */
  async readNode(kubeconfig: string) {
    return connectOwnNode({ nodeName, getAccess: await readAccess(kubeconfig), timeoutMs }).read()
  },
  /** Reads the log of the agent's pod; rejects when the kubelet cannot be reached in time. */
  async readLog(kubeconfig: string, query: Readonly<Record<string, string>> = {}) {
    const { namespace, name } = agentPod
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/log`
    // The API server takes some time to find out.
    const client = connectClient({ getAccess: await readAccess(kubeconfig), timeoutMs: 4 * timeoutMs })
    return client.text({ method: 'GET', path, query, accept: '*/*' })
  },
  /** The IPv4 addresses that a DNS server knows for a name; rejects with its code, such as ENOTFOUND or ETIMEOUT. */
  async lookUp(server: string, name: string) {
    const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
    resolver.setServers([server.includes(':') ? `[${server}]` : server])
    return resolver.resolve4(name)
  },
}
export type ClientMethods = typeof methods
serveMethods(methods)

/** To load all that can read such a file takes longer than an answer: it is done before. */
async function readAccess(kubeconfig: string): Promise<GetAccess> {
  const getAccess = kubeconfigAccess(kubeconfig)
  await getAccess()
  return getAccess
}
