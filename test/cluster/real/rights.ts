import { z } from 'zod'
import type { Identity, Rule } from '../api-server/access-control.ts'
import { AGENT_RULES, nodeOf } from '../api-server/agent-identity.ts'
import { readRights } from '../api-server/manifest-rights.ts'
import { enforcePolicies } from './policies.ts'
import type { Version } from './processes.ts'
import { createObject, pause } from './sync-client.ts'
import type { SyncClient } from './sync-client.ts'

/** ServiceAccounts, what RBAC allows them, and tokens for them. */
export type Rights = {
  /** Makes what the manifests ask for in rbac.yaml and admission.yaml, and the namespace it is in. */
  applyManifests(version: Version): void
  /**
   * The agent's own account for the agent's rules, and a pod on the Node that the token is to name; for other rules an
   * account of its own.
   */
  createToken(identity: Identity): string
  /** One of the agent's that is bound to an object, and ends with it. */
  createEndingToken(): { readonly token: string; readonly end: () => void }
}

export function createRights(admin: SyncClient, adminToken: string): Rights {
  let accounts = 0
  let tokens = 0

  const post = (path: string, body: unknown, token?: string) => createObject(admin, path, body, token)
  const requestToken = (account: string, bound = {}) => {
    tokens += 1
    // Two that are asked for in one second would be one, but for this.
    const spec = { expirationSeconds: 3600 + tokens, ...bound }
    const answer = post(`${ACCOUNTS}/${account}/token`, { apiVersion: 'authentication.k8s.io/v1', spec })
    return tokenRequest.parse(JSON.parse(answer)).status.token
  }
  /** What RBAC allows is known to the server a moment after it was written. */
  const awaitRights = (token: string, rules: readonly Rule[]) => {
    for (const rule of rules) {
      const spec = { resourceAttributes: attributesOf(rule) }
      const latest = Date.now() + 30_000
      while (!isAllowed(post(REVIEWS, { spec }, token))) {
        if (Date.now() > latest) throw new Error(`the server does not grant ${JSON.stringify(rule)}`)
        pause(10)
      }
    }
  }
  const createAccount = ({ user, rules }: Identity) => {
    accounts += 1
    const name = user.endsWith(':node-firewall') ? `test-${accounts}` : user.replace(/.*:/, '')
    post(ACCOUNTS, { metadata: { name } })
    for (const [number, rule] of rules.entries()) {
      const [kind, at] = placeOf(rule.namespace)
      const role = `${name}-${number}`
      post(`${at}${kind.toLowerCase()}s`, { metadata: { name: role }, rules: [policyRule(rule)] })
      const subjects = [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }]
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name: role }
      post(`${at}${kind.toLowerCase()}bindings`, { metadata: { name: role }, roleRef, subjects })
    }
    const token = requestToken(name)
    awaitRights(token, rules)
    return token
  }

  /** What a token is bound to that names this Node. */
  const createPod = (nodeName: string | undefined) => {
    if (nodeName === undefined) return {}
    const name = `node-firewall-${tokens}`
    const containers = [{ name: 'agent', image: 'none' }]
    post(PODS, { metadata: { name }, spec: { nodeName, serviceAccountName: 'node-firewall', containers } })
    return { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name } }
  }

  return {
    applyManifests(version) {
      post('/api/v1/namespaces', { metadata: { name: NAMESPACE } })
      for (const content of readRights()) {
        const { kind, metadata } = manifest.parse(content)
        const plural = `${kind.toLowerCase()}s`
        const [, at] = placeOf(kind.startsWith('Cluster') ? undefined : (metadata.namespace ?? NAMESPACE))
        post(kind === 'ServiceAccount' ? ACCOUNTS : `${at}${plural}`, content)
      }
      const unbound = requestToken('node-firewall')
      awaitRights(unbound, AGENT_RULES)
      enforcePolicies(admin, version, unbound)
    },
    createToken(identity) {
      const { rules } = identity
      if (rules === AGENT_RULES) return requestToken('node-firewall', createPod(nodeOf(identity)))
      return rules.some(({ resources }) => resources.includes('*')) ? adminToken : createAccount(identity)
    },
    createEndingToken() {
      const name = `token-${tokens}`
      post(SECRETS, { metadata: { name } })
      const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name }
      const token = requestToken('node-firewall', { boundObjectRef })
      return { token, end: () => void admin.call('DELETE', `${SECRETS}/${name}`) }
    },
  }
}

const NAMESPACE = 'node-firewall'
const ACCOUNTS = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`
const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'

/** The kind of role for this namespace, and what paths to roles and bindings begin with. */
function placeOf(namespace: string | undefined): ['Role' | 'ClusterRole', string] {
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  return namespace === undefined ? ['ClusterRole', `${rbac}/`] : ['Role', `${rbac}/namespaces/${namespace}/`]
}

/** `pods/log` and `leases.coordination.k8s.io` name the group behind the first dot. */
export function policyRule({ verbs, resources, names }: Rule) {
  const split = resources.map((resource) => {
    const [plural = '', ...group] = resource.split('.')
    return { plural, group: group.join('.') }
  })
  const apiGroups = split.map(({ group }) => group)
  const rule = { apiGroups, resources: split.map(({ plural }) => plural), verbs }
  return names === undefined ? rule : { ...rule, resourceNames: names }
}

function attributesOf(rule: Rule) {
  const { apiGroups, resources, verbs, resourceNames } = { resourceNames: undefined, ...policyRule(rule) }
  const [resource, subresource] = resources[0]?.split('/') ?? []
  const name = resourceNames?.[0]
  return { namespace: rule.namespace, verb: verbs[0], group: apiGroups[0], resource, subresource, name }
}

function isAllowed(review: string): boolean {
  return accessReview.parse(JSON.parse(review)).status.allowed
}

const manifest = z.object({
  kind: z.string(),
  metadata: z.object({ namespace: z.string().optional() }),
})
const tokenRequest = z.object({ status: z.object({ token: z.string() }) })
const accessReview = z.object({ status: z.object({ allowed: z.boolean() }) })
