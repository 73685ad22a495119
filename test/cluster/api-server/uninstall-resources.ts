import type { Resource } from './resources.ts'

const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' }

export const NAMESPACES: Resource = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
  zero: {},
}

export const DAEMON_SETS: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  kind: 'DaemonSet',
  namespaced: true,
  counted: ({ spec }) => spec,
  zero: {},
}

export const CLUSTER_ROLES: Resource = {
  ...RBAC,
  plural: 'clusterroles',
  kind: 'ClusterRole',
  namespaced: false,
  zero: {},
}

export const ROLES: Resource = { ...RBAC, plural: 'roles', kind: 'Role', namespaced: true, zero: {} }

/** What takes part in an uninstall and nowhere else. */
export const UNINSTALL_RESOURCES: readonly Resource[] = [NAMESPACES, DAEMON_SETS, CLUSTER_ROLES, ROLES]
