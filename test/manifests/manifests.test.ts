import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }
import { hasKubectl, kustomize, root } from './kustomize.ts'
import { all, type Manifest, only } from './manifest.ts'
import { findProblems } from './schema.ts'

const overlays = await readdir(join(root, 'manifests', 'overlays'))
const folders = ['manifests/base', ...overlays.map((name) => `manifests/overlays/${name}`)]

const ownRoles = [
  ['node-firewall-nodes', 'node-firewall', slices(['get', 'list', 'watch'])],
  ['node-firewall-api-servers', 'default', slices(['list', 'watch'])],
  ['node-firewall-log', 'node-firewall', { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] }],
  [
    'node-firewall-lease',
    'kube-node-lease',
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get'] },
  ],
  [
    'node-firewall-dns',
    'kube-system',
    { apiGroups: [''], resources: ['services'], resourceNames: ['kube-dns'], verbs: ['get'] },
  ],
  ['node-firewall-events', 'default', { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] }],
] as const

/** Of the component api-watch, which every overlay has, and the base has not. */
const watchRole = [
  'node-firewall-rules',
  'node-firewall',
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['node-firewall-rules'],
    verbs: ['get', 'list', 'watch'],
  },
] as const

function slices(verbs: readonly string[]) {
  return { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs }
}

describe.skipIf(!hasKubectl()).each(folders)('%s', (folder) => {
  const isOverlay = folder !== 'manifests/base'
  const roles = isOverlay ? [...ownRoles, watchRole] : ownRoles
  let manifests: Manifest[]

  beforeAll(async () => {
    manifests = await kustomize(folder)
  })

  const daemonSet = () => only(manifests, 'DaemonSet').spec
  const pod = () => daemonSet()?.template.spec
  const container = () => {
    const containers = pod()?.containers ?? []
    expect(containers).toHaveLength(1)
    return containers[0]
  }

  it('fits the schemas of Kubernetes, with no unknown field', () => {
    const problems = manifests.map((manifest) => [manifest.kind, ...findProblems(manifest)])
    expect(problems).toEqual(manifests.map(({ kind }) => [kind]))
  })

  it('puts everything but its rights elsewhere into its own namespace, which admits privileged pods', () => {
    const namespace = only(manifests, 'Namespace').metadata
    expect(namespace?.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' })
    const clusterWide = new Set([
      'Namespace',
      'ClusterRole',
      'ClusterRoleBinding',
      'ValidatingAdmissionPolicy',
      'ValidatingAdmissionPolicyBinding',
    ])
    const found = manifests.map(({ kind, metadata }) => [kind, metadata?.name, metadata?.namespace])
    const expected = ({ kind, metadata }: Manifest) => {
      if (clusterWide.has(kind)) return undefined
      const elsewhere = roles.find(([name]) => name === metadata?.name)?.[1]
      return elsewhere ?? namespace?.name
    }
    expect(found).toEqual(
      manifests.map((manifest) => [manifest.kind, manifest.metadata?.name, expected(manifest)]),
    )
  })

  it('labels all of its objects, those of components too', () => {
    const labels = manifests.map(({ metadata }) => metadata?.labels?.['app.kubernetes.io/part-of'])
    expect(labels).toEqual(manifests.map(() => 'node-firewall'))
  })

  it('selects the pods it makes', () => {
    const selector = daemonSet()?.selector.matchLabels
    expect(Object.keys(selector ?? {})).not.toEqual([])
    expect(daemonSet()?.template.metadata?.labels).toMatchObject(selector ?? {})
  })

  it('runs on the network and with the processes of every Linux node, whatever its taints', () => {
    expect(pod()).toMatchObject({
      hostNetwork: true,
      hostPID: true,
      tolerations: [{ operator: 'Exists' }],
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      priorityClassName: 'system-node-critical',
    })
    expect(pod()?.affinity).toBeUndefined()
  })

  it('admits pods of the priority class where that takes a quota', () => {
    expect(only(manifests, 'ResourceQuota').spec?.scopeSelector?.matchExpressions).toEqual([
      { scopeName: 'PriorityClass', operator: 'In', values: [pod()?.priorityClassName] },
    ])
  })

  it('runs the agent with a read-only root file system, bounded memory and unbounded CPU', () => {
    expect(container()).toMatchObject({
      args: ['agent'],
      securityContext: { privileged: true, readOnlyRootFilesystem: true },
    })
    expect(container()?.resources?.limits).toEqual({ memory: '384Mi' })
  })

  it('tells the agent its node and where the rules are', () => {
    expect(container()?.env).toEqual([
      { name: 'NODE_FIREWALL_NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'NODE_FIREWALL_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'NODE_FIREWALL_POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'NODE_FIREWALL_RULES', value: '/etc/node-firewall/rules' },
      ...(isOverlay ? [{ name: 'NODE_FIREWALL_CONFIGMAPS', value: 'node-firewall-rules' }] : []),
    ])
  })

  it('mounts the ConfigMap as a directory under the name it has, and starts without it', () => {
    const { name } = only(manifests, 'ConfigMap').metadata ?? {}
    expect(name).toBe('node-firewall-rules')
    const volume = pod()?.volumes?.find(({ configMap }) => configMap !== undefined)
    expect(volume?.configMap).toEqual({ name, optional: true })
    const mounts = container()?.volumeMounts ?? []
    expect(mounts).toContainEqual({
      name: volume?.name,
      mountPath: '/etc/node-firewall/rules',
      readOnly: true,
    })
    for (const mount of mounts) expect(mount).not.toHaveProperty('subPath')
  })

  it('shares the xtables lock with the node, also where the file is not there yet', () => {
    expect(container()?.volumeMounts).toContainEqual({ name: 'xtables-lock', mountPath: '/run/xtables.lock' })
    expect(pod()?.volumes).toContainEqual({
      name: 'xtables-lock',
      hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' },
    })
  })

  it.each([
    ['state', '/var/lib/node-firewall', 'DirectoryOrCreate'],
    ['agent-lock', '/run/node-firewall.lock', 'FileOrCreate'],
  ])('keeps its %s on the node', (name, path, type) => {
    expect(container()?.volumeMounts).toContainEqual({ name, mountPath: path })
    expect(pod()?.volumes).toContainEqual({ name, hostPath: { path, type } })
  })

  it('probes on loopback', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container() ?? {}
    const loopback = { host: '127.0.0.1', port: 10_268 }
    expect(startupProbe?.httpGet).toEqual({ ...loopback, path: '/healthz' })
    expect(livenessProbe?.httpGet).toEqual({ ...loopback, path: '/healthz' })
    expect(readinessProbe?.httpGet).toEqual({ ...loopback, path: '/readyz' })
  })

  it('binds its ServiceAccount to its ClusterRole', () => {
    const { name, namespace } = only(manifests, 'ServiceAccount').metadata ?? {}
    const binding = only(manifests, 'ClusterRoleBinding')
    expect(pod()?.serviceAccountName).toBe(name)
    expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name, namespace }])
    expect(binding.roleRef).toMatchObject({
      kind: 'ClusterRole',
      name: only(manifests, 'ClusterRole').metadata?.name,
    })
  })

  it('may read and patch Nodes, not list them, and nothing else', () => {
    expect(only(manifests, 'ClusterRole').rules).toEqual([
      { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'watch', 'patch'] },
    ])
  })

  it('has policies for all that it may write, for its account and no other', () => {
    const policies = all(manifests, 'ValidatingAdmissionPolicy')
    const limited = policies.flatMap(({ spec }) => spec?.matchConstraints?.resourceRules ?? [])
    const may = [...all(manifests, 'Role'), ...all(manifests, 'ClusterRole')].flatMap(
      ({ rules }) => rules ?? [],
    )
    const writing = may.filter(({ verbs }) => verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)))
    const resources = (rules: readonly { resources?: readonly string[] }[]) =>
      rules.flatMap((rule) => rule.resources ?? []).toSorted()
    expect(resources(writing)).toEqual(['events', 'nodes'])
    expect(resources(limited)).toEqual(['events', 'nodes', 'nodes/*'])
    const { name, namespace } = only(manifests, 'ServiceAccount').metadata ?? {}
    for (const { spec } of policies) {
      expect(spec?.failurePolicy).toBe('Fail')
      expect(spec?.matchConditions?.map(({ expression }) => expression)).toEqual([
        `request.userInfo.username == 'system:serviceaccount:${namespace}:${name}'`,
      ])
      for (const { reason } of spec?.validations ?? []) expect(reason).toBe('Forbidden')
    }
  })

  it('has every policy in force', () => {
    const names = all(manifests, 'ValidatingAdmissionPolicy').map(({ metadata }) => metadata?.name)
    const bindings = all(manifests, 'ValidatingAdmissionPolicyBinding').map(({ spec }) => spec)
    expect(bindings).toEqual(names.map((policyName) => ({ policyName, validationActions: ['Deny'] })))
  })

  it('cuts off pods of others in its namespace, and none of its own', () => {
    const { podSelector, policyTypes, ...rest } = only(manifests, 'NetworkPolicy').spec ?? {}
    expect([policyTypes, rest]).toEqual([['Ingress', 'Egress'], {}])
    const part = daemonSet()?.template.metadata?.labels?.['app.kubernetes.io/part-of']
    expect(podSelector).toEqual({
      matchExpressions: [{ key: 'app.kubernetes.io/part-of', operator: 'NotIn', values: [part] }],
    })
  })

  it.each(roles)('has the Role %s in %s, bound to its ServiceAccount', (name, namespace, rule) => {
    const here = ({ metadata }: Manifest) => metadata?.namespace === namespace && metadata.name === name
    expect(only(manifests.filter(here), 'Role').rules).toEqual([rule])
    const binding = only(manifests.filter(here), 'RoleBinding')
    const account = only(manifests, 'ServiceAccount').metadata
    expect(binding.roleRef).toMatchObject({ kind: 'Role', name })
    expect(binding.subjects).toEqual([
      { kind: 'ServiceAccount', name: account?.name, namespace: account?.namespace },
    ])
  })

  it('has no other Roles', () => {
    const names = all(manifests, 'Role').map(({ metadata }) => metadata?.name)
    expect(names).toHaveLength(roles.length)
    expect(new Set(names)).toEqual(new Set(roles.map(([name]) => name)))
  })

  it('lists the addresses of all its pods, ready or not and of both families, in a Service without an address', () => {
    const { metadata, spec } = only(manifests, 'Service')
    expect(metadata?.name).toBe('node-firewall')
    expect(spec).toEqual({
      clusterIP: 'None',
      ipFamilyPolicy: 'PreferDualStack',
      publishNotReadyAddresses: true,
      selector: daemonSet()?.selector.matchLabels,
    })
  })

  it('gives the token to the agent alone', () => {
    expect(only(manifests, 'ServiceAccount').automountServiceAccountToken).toBe(false)
    expect(pod()?.automountServiceAccountToken).toBe(true)
  })

  it('names an image with a fixed tag', () => {
    const tag = folder.endsWith('kind') ? 'dev' : packageJson.version
    expect(container()).toMatchObject({
      image: `ghcr.io/node-firewall/node-firewall:${tag}`,
      imagePullPolicy: 'IfNotPresent',
    })
  })

  it('holds rulesets only', () => {
    for (const [key, text] of Object.entries(only(manifests, 'ConfigMap').data ?? {})) {
      expect(key).toMatch(/\.yaml$/)
      expect(parse(text)).toMatchObject({ apiVersion: 'node-firewall.io/v1', kind: 'Ruleset' })
    }
  })
})
