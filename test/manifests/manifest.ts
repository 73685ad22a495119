import type { IValidatingAdmissionPolicy } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy'
import type { IValidatingAdmissionPolicyBinding } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding'
import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet'
import type { IJob } from 'kubernetes-models/batch/v1/Job'
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import type { IClusterRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole'
import type { IClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding'
import type { IRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role'
import type { IRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding'
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap'
import type { INamespace } from 'kubernetes-models/v1/Namespace'
import type { IResourceQuota } from 'kubernetes-models/v1/ResourceQuota'
import type { IService } from 'kubernetes-models/v1/Service'
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount'
import type { PodMonitor, PrometheusRule } from './prometheus-operator.ts'

export type Manifest =
  | IClusterRole
  | IClusterRoleBinding
  | IConfigMap
  | IDaemonSet
  | IJob
  | INamespace
  | PodMonitor
  | PrometheusRule
  | INetworkPolicy
  | IResourceQuota
  | IRole
  | IRoleBinding
  | IService
  | IServiceAccount
  | IValidatingAdmissionPolicy
  | IValidatingAdmissionPolicyBinding

/** The only object of a kind. */
export function only<Kind extends Manifest['kind']>(manifests: readonly Manifest[], kind: Kind) {
  const found = all(manifests, kind)
  const [first] = found
  if (first === undefined || found.length > 1) throw new Error(`found ${found.length} of kind ${kind}`)
  return first
}

/** All objects of a kind. */
export function all<Kind extends Manifest['kind']>(manifests: readonly Manifest[], kind: Kind) {
  type Found = Extract<Manifest, { kind: Kind }>
  return manifests.filter((manifest): manifest is Found => manifest.kind === kind)
}
