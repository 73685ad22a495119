import type { Identity, Rule } from './access-control.ts'

export const AGENT = 'system:serviceaccount:node-firewall:node-firewall'

const SLICES = 'endpointslices.discovery.k8s.io'

/** What the ClusterRole and the Roles of the agent allow: manifests/base/rbac.yaml, and the component api-watch. */
export const AGENT_RULES: readonly Rule[] = [
  { verbs: ['get', 'watch', 'patch'], resources: ['nodes'] },
  { verbs: ['get', 'list', 'watch'], resources: [SLICES], namespace: 'node-firewall' },
  {
    verbs: ['get', 'list', 'watch'],
    resources: ['configmaps'],
    namespace: 'node-firewall',
    names: ['node-firewall-rules'],
  },
  { verbs: ['get'], resources: ['pods/log'], namespace: 'node-firewall' },
  { verbs: ['list', 'watch'], resources: [SLICES], namespace: 'default' },
  { verbs: ['create', 'patch'], resources: ['events'], namespace: 'default' },
  { verbs: ['get'], resources: ['leases.coordination.k8s.io'], namespace: 'kube-node-lease' },
  { verbs: ['get'], resources: ['services'], namespace: 'kube-system', names: ['kube-dns'] },
]

/**
 * Who the token of an agent's pod says it is. A token that is bound to no pod names no node, and so does one from a
 * server before Kubernetes 1.30.
 */
export function agentOn(node: string | undefined, rules: readonly Rule[] = AGENT_RULES): Identity {
  const extra = node === undefined ? {} : { extra: { [NODE_NAME]: [node] } }
  return { user: AGENT, rules, ...extra }
}

/** The Node that a token names. */
export function nodeOf({ extra }: Identity): string | undefined {
  return extra?.[NODE_NAME]?.[0]
}

const NODE_NAME = 'authentication.kubernetes.io/node-name'
