/*
 * The API server of a control plane, over real packets: what it can be asked and told is in `methods`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AGENT_RULES, startApiServer } from '../../cluster/api-server.ts'
import type { Rule } from '../../cluster/api-server/access-control.ts'
import { kubeconfig } from '../../cluster/api-server/credentials.ts'
import { findResource, NODES } from '../../cluster/api-server/resources.ts'
import { serveMethods } from '../service.ts'
import { apiServerPort, controlPlaneAddress, kubeletPort } from './addresses.ts'
import { createKubeletClient } from './kubelet-client.ts'
import { putServices } from './put-services.ts'

const { endpoint, balancer, service, nodePrivate } = controlPlaneAddress
const server = await startApiServer({
  host: '::',
  port: apiServerPort,
  addresses: [endpoint, balancer, service].flatMap((address) => Object.values(address)),
})
const folder = await mkdtemp(join(tmpdir(), 'node-firewall-control-plane-'))
const kubelets = createKubeletClient(1_000)
const renewals = new Map<string, number>()

putServices(server)
server.store.onChange(({ resource, object: { metadata } }) => {
  if (resource.plural === 'leases') renewals.set(metadata.name, (renewals.get(metadata.name) ?? 0) + 1)
})

const EVENTS = ['', 'events.k8s.io'].flatMap((group) => {
  const at = { namespace: undefined, name: undefined, subresource: undefined }
  return findResource({ group, version: 'v1', plural: 'events', ...at }) ?? []
})

const everything: readonly Rule[] = [{ verbs: ['*'], resources: ['*'] }]
const users = {
  agent: { user: 'system:serviceaccount:node-firewall:node-firewall', rules: AGENT_RULES },
  kubelet: { user: 'system:node:test-node', rules: everything },
} as const

const methods = {
  /** A Node with the addresses and the kubelet of the one in the sandbox. */
  createNode(name: string, labels: Readonly<Record<string, string>> = {}) {
    const node = server.createNode(name, labels)
    const addresses = Object.values(nodePrivate).map((address) => ({ type: 'InternalIP', address }))
    const daemonEndpoints = { kubeletEndpoint: { Port: kubeletPort } }
    server.store.replace(NODES, { ...node, status: { addresses, daemonEndpoints } })
  },
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
  /** Those of both APIs for them. */
  events: () => EVENTS.flatMap((resource) => server.store.list(resource, undefined)),

  answerNext: server.faults.answerNext,
  forgetFaults: server.faults.forget,
  refuseConnections: server.faults.refuseConnections,
  acceptConnections: server.faults.acceptConnections,
  cutConnections: server.faults.cutConnections,
  goSilent: server.faults.goSilent,
  speak: server.faults.speak,

  /** Which one of its addresses connections to kubelets come from; until then that of the endpoint. */
  callKubeletsFrom: kubelets.callFrom,
  /** Ends the connections to kubelets that are idle: else the next request goes over one of them. */
  closeKubeletConnections: kubelets.closeConnections,
  /** Asks a kubelet for a log, as for a client; rejects when the kubelet does not answer in time. */
  readLog: kubelets.readLog,
}
export type ApiServerMethods = typeof methods

serveMethods(methods, async () => {
  await server.close()
  await rm(folder, { recursive: true })
})
