/*
 * The API server of a control plane, over real packets: what it can be asked and told is in `methods`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApiServer } from '../../cluster/api-server.ts'
import { agentOn } from '../../cluster/api-server/agent-identity.ts'
import type { Family } from '../../../agent/ruleset/address.ts'
import type { Rule } from '../../cluster/api-server/access-control.ts'
import { kubeconfig } from '../../cluster/api-server/credentials.ts'
import { serveMethods } from '../service.ts'
import { agentPod, apiServerPort, controlPlaneAddress, kubeletPort, nodeName } from './addresses.ts'
import { createKubeletClient } from './kubelet-client.ts'
import { putObjects } from './put-objects.ts'

const { endpoint, balancer, service, nodePrivate } = controlPlaneAddress
const server = await startApiServer({
  host: '::',
  port: apiServerPort,
  addresses: [endpoint, balancer, service].flatMap((address) => Object.values(address)),
})
const folder = await mkdtemp(join(tmpdir(), 'node-firewall-control-plane-'))
const kubelets = createKubeletClient(1_000)
server.kubelet.readLog = kubelets.readLog
const renewals = new Map<string, number>()

putObjects(server)
server.store.onChange(({ resource, object: { metadata } }) => {
  if (resource.plural === 'leases') renewals.set(metadata.name, (renewals.get(metadata.name) ?? 0) + 1)
})

const everything: readonly Rule[] = [{ verbs: ['*'], resources: ['*'] }]
const users = {
  agent: agentOn(nodeName),
  kubelet: { user: `system:node:${nodeName}`, rules: everything },
} as const

const methods = {
  changeNode: server.changeNode,
  annotations: (name: string) => server.getNode(name).metadata.annotations ?? {},
  /** Writes a file by which a user finds the server at one of its addresses, and is let in. */
  async writeKubeconfig(user: keyof typeof users, url: string) {
    const file = join(folder, `${user}-${url.replaceAll(/\W+/g, '-')}`)
    await writeFile(file, kubeconfig(url, server.caFile, server.createToken(users[user])))
    return file
  },
  /** All requests so far, in order. */
  requests: () => server.requests.map(({ verb, path, status }) => ({ verb, path, status })),
  /** How often the Lease of a node has been made or renewed. */
  renewals: (node: string) => renewals.get(node) ?? 0,
  events: server.objects.events,

  answerNext: server.faults.answerNext,
  forgetFaults: server.faults.forget,
  refuseConnections: server.faults.refuseConnections,
  acceptConnections: server.faults.acceptConnections,
  cutConnections: server.faults.cutConnections,
  goSilent: server.faults.goSilent,
  speak: server.faults.speak,

  /** Kubelets are called at the node's address of this family, from one of the server's own. */
  callKubelets(family: Family, from: 'endpoint' | 'balancer') {
    server.objects.setKubelet(nodeName, nodePrivate[family], kubeletPort)
    kubelets.callFrom(from)
  },
  /** Ends the connections to kubelets that are idle: else the next request goes over one of them. */
  closeKubeletConnections: kubelets.closeConnections,
  /** What a client gets that asks for the log of the agent's pod, even if nobody could ask. */
  readLog(family: Family, query: Readonly<Record<string, string>> = {}) {
    const asked = new URLSearchParams(query).toString()
    const path = `/containerLogs/${agentPod.namespace}/${agentPod.name}/agent?${asked}`
    return kubelets.readLog({ address: nodePrivate[family], port: kubeletPort, path })
  },
}
export type ApiServerMethods = typeof methods

serveMethods(methods, async () => {
  await server.close()
  await rm(folder, { recursive: true })
})
