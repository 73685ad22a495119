import { readPolicies } from '../api-server/manifest-policies.ts'
import { NODES } from '../api-server/resources.ts'
import type { Version } from './processes.ts'
import { pathOf } from './store.ts'
import { createObject, pause } from './sync-client.ts'
import type { SyncClient } from './sync-client.ts'

/**
 * Puts the policies of manifests/base/admission.yaml in force, where the server has them: since Kubernetes 1.30.
 * `unbound` is a token of the agents' account that names no node.
 */
export function enforcePolicies(admin: SyncClient, { minor, text }: Version, unbound: string): void {
  if (minor < 30) {
    console.warn(`SKIPPED: policies for the writes of agents: they take Kubernetes 1.30, this is ${text}`)
    return
  }
  for (const { resource, draft } of readPolicies()) createObject(admin, pathOf(resource, undefined), draft)
  createObject(admin, NODES_PATH, { metadata: { name: PROBE } })
  // The server takes a moment to go by them.
  for (const attempt of [patchNode, createEvent]) {
    while (attempt(admin, unbound) !== 403) pause(50)
  }
  admin.call('DELETE', `${NODES_PATH}/${PROBE}`)
}

const NODES_PATH = pathOf(NODES, undefined)
const PROBE = 'policy-probe'

function patchNode(client: SyncClient, token: string): number {
  const body = { metadata: { annotations: { 'node-firewall.io/state': 'Off' } } }
  const options = { token, contentType: 'application/merge-patch+json', body }
  return client.call('PATCH', `${NODES_PATH}/${PROBE}?dryRun=All`, options).status
}

function createEvent(client: SyncClient, token: string): number {
  const involvedObject = { apiVersion: 'v1', kind: 'Node', name: PROBE, uid: PROBE }
  const body = { metadata: { name: PROBE, namespace: 'default' }, involvedObject }
  const options = { token, contentType: 'application/json', body }
  return client.call('POST', '/api/v1/namespaces/default/events?dryRun=All', options).status
}
