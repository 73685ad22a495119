import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { readPolicies } from '../api-server/manifest-policies.ts'
import { apiVersion } from '../api-server/resources.ts'
import { AGENT_NODE } from './target.ts'

/** Makes an object as an admin; fails unless the server says 201. */
export type Create = (path: string, body: unknown) => Promise<unknown>

const ACCOUNTS = '/api/v1/namespaces/node-firewall/serviceaccounts'
const PODS = '/api/v1/namespaces/node-firewall/pods'

/** Tokens of the agents' account: one of a pod on `AGENT_NODE`, and one that is bound to nothing. */
export async function createAgentTokens(create: Create): Promise<Record<'agent' | 'unbound', string>> {
  await create('/api/v1/nodes', { metadata: { name: AGENT_NODE } })
  await create(ACCOUNTS, { metadata: { name: 'node-firewall' } })
  const name = 'node-firewall-7gv9h'
  const containers = [{ name: 'agent', image: 'none' }]
  const podSpec = { nodeName: AGENT_NODE, serviceAccountName: 'node-firewall', containers }
  const pod = made.parse(await create(PODS, { metadata: { name }, spec: podSpec }))
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid: pod.metadata.uid }
  const tokenFor = async (spec: object) => {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec }
    return issued.parse(await create(`${ACCOUNTS}/node-firewall/token`, body)).status.token
  }
  return { agent: await tokenFor({ boundObjectRef }), unbound: await tokenFor({}) }
}

/** Puts the policies of manifests/base in force; the server takes a moment to go by them. */
export async function enforcePolicies(create: Create, isRefused: () => Promise<boolean>): Promise<void> {
  for (const { resource, draft } of readPolicies())
    await create(`/apis/${apiVersion(resource)}/${resource.plural}`, draft)
  while (!(await isRefused())) await sleep(100)
}

const made = z.object({ metadata: z.object({ uid: z.string() }) })
const issued = z.object({ status: z.object({ token: z.string() }) })
