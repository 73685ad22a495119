/*
 * A process that asks for what a node lives on, always over new connections.
 */
import { Resolver } from 'node:dns/promises'
import { connectOwnNode } from '../../../agent/cluster/own-node.ts'
import { kubeconfigAccess } from '../../../agent/cluster/kubeconfig.ts'
import { serveMethods } from '../service.ts'

/** Answers in a sandbox take a few ms. */
const timeoutMs = 1_000

const methods = {
  /** Reads a Node by the API server of a kubeconfig; rejects when that cannot be reached in time. */
  async readNode(nodeName: string, kubeconfig: string) {
    const getAccess = kubeconfigAccess(kubeconfig)
    // To load all that can read such a file takes longer than an answer.
    await getAccess()
    return connectOwnNode({ nodeName, getAccess, timeoutMs }).read()
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
