import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet'
import type { IClusterRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole'
import type { IClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding'
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap'
import type { INamespace } from 'kubernetes-models/v1/Namespace'
import type { IResourceQuota } from 'kubernetes-models/v1/ResourceQuota'
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount'

export type Manifest =
  | IClusterRole
  | IClusterRoleBinding
  | IConfigMap
  | IDaemonSet
  | INamespace
  | IResourceQuota
  | IServiceAccount

/** The only object of a kind. */
export function only<Kind extends Manifest['kind']>(manifests: readonly Manifest[], kind: Kind) {
  type Found = Extract<Manifest, { kind: Kind }>
  const found = manifests.filter((manifest): manifest is Found => manifest.kind === kind)
  const [first] = found
  if (first === undefined || found.length > 1) throw new Error(`found ${found.length} of kind ${kind}`)
  return first
}
