import { ValidatingAdmissionPolicy } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy'
import { ValidatingAdmissionPolicyBinding } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding'
import { DaemonSet } from 'kubernetes-models/apps/v1/DaemonSet'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { ClusterRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole'
import { ClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding'
import { Role } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role'
import { RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Namespace } from 'kubernetes-models/v1/Namespace'
import { ResourceQuota } from 'kubernetes-models/v1/ResourceQuota'
import { Service } from 'kubernetes-models/v1/Service'
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount'
import { operatorSchemas } from './prometheus-operator.ts'

const models = [
  ClusterRole,
  ClusterRoleBinding,
  ConfigMap,
  DaemonSet,
  Deployment,
  Job,
  Namespace,
  NetworkPolicy,
  ResourceQuota,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
]

/**
 * What is wrong with an object by the schema of its kind, unknown fields included: the API server would drop them
 * with no more than a warning.
 */
export function findProblems(object: { apiVersion: string; kind: string }): string[] {
  const ofOperator = operatorSchemas.find(({ shape }) => shape.kind.value === object.kind)
  if (ofOperator !== undefined) {
    const { issues = [] } = ofOperator.safeParse(object).error ?? {}
    return issues.map(({ path, message }) => `${path.join('/')}: ${message}`)
  }
  const Model = models.find(
    ({ apiVersion, kind }) => apiVersion === object.apiVersion && kind === object.kind,
  )
  if (Model === undefined) return [`no schema for ${object.apiVersion} ${object.kind}`]
  const unread = new Set<string>()
  try {
    watchReads(Object.assign(new Model(), object), '', unread).validate()
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
  return [...unread].map((path) => `unknown field ${path}`)
}

/**
 * The compiled schemas accept unknown fields and do not list the known ones. But they read every field they know and
 * no other, so what a validation leaves unread is unknown.
 */
function watchReads<T extends object>(value: T, path: string, unread: Set<string>): T {
  const children = new Map<PropertyKey, unknown>()
  for (const key of Object.keys(value)) unread.add(`${path}/${key}`)
  return new Proxy(value, {
    get(target, key) {
      if (children.has(key)) return children.get(key)
      const at = `${path}/${String(key)}`
      unread.delete(at)
      const child: unknown = Reflect.get(target, key)
      const watched = isObject(child) ? watchReads(child, at, unread) : child
      children.set(key, watched)
      return watched
    },
  })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
