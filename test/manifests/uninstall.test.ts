import { beforeAll, describe, expect, it } from 'vitest'
import { runProgram } from '../../agent/cli/program.ts'
import { hasKubectl, kustomize } from './kustomize.ts'
import { all, type Manifest, only } from './manifest.ts'
import { findProblems } from './schema.ts'

const OUTSIDE = new Set([
  'ClusterRole',
  'ClusterRoleBinding',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
])
const NAMESPACE = 'node-firewall'

describe.skipIf(!hasKubectl())('manifests/uninstall', () => {
  let manifests: Manifest[]
  let base: Manifest[]

  beforeAll(async () => {
    manifests = await kustomize('manifests/uninstall')
    base = await kustomize('manifests/base')
  })

  const daemonSet = () => only(manifests, 'DaemonSet')
  const pod = () => daemonSet().spec?.template.spec
  const job = () => only(manifests, 'Job').spec?.template.spec
  const uninstallRole = () =>
    all(manifests, 'ClusterRole').find(({ metadata }) => metadata?.name?.endsWith('-uninstall'))

  it('fits the schemas of Kubernetes, with no unknown field', () => {
    const problems = manifests.map((manifest) => [manifest.kind, ...findProblems(manifest)])
    expect(problems).toEqual(manifests.map(({ kind }) => [kind]))
  })

  it('puts pods that clean in the place of the agents, on all nodes at once', () => {
    const agents = only(base, 'DaemonSet')
    expect(daemonSet().metadata?.name).toBe(agents.metadata?.name)
    expect(daemonSet().metadata?.namespace).toBe(NAMESPACE)
    expect(daemonSet().spec?.selector).toEqual(agents.spec?.selector)
    expect(daemonSet().spec?.updateStrategy).toEqual({
      type: 'RollingUpdate',
      // No maxSurge: a new pod starts when the old one has ended.
      rollingUpdate: { maxUnavailable: '100%' },
    })
    const { hostNetwork, hostPID, tolerations, nodeSelector, priorityClassName } =
      agents.spec?.template.spec ?? {}
    expect(pod()).toMatchObject({ hostNetwork, hostPID, tolerations, nodeSelector, priorityClassName })
  })

  it('cleans before a pod is ready, with all that is needed for it', () => {
    expect(pod()?.initContainers?.map(({ name, args }) => ({ name, args }))).toEqual([
      { name: 'clean', args: ['clean'] },
    ])
    const [cleaner] = pod()?.initContainers ?? []
    expect(cleaner?.securityContext?.privileged).toBe(true)
    const values = Object.fromEntries(cleaner?.env?.map(({ name, value }) => [name, value]) ?? [])
    const mounts = cleaner?.volumeMounts?.map(({ mountPath }) => mountPath) ?? []
    for (const path of [values['NODE_FIREWALL_STATE_DIR'], values['NODE_FIREWALL_UNIT_DIR']]) {
      expect(mounts.some((mount) => path?.startsWith(`${mount}/`))).toBe(true)
    }
    const volumes = new Map(pod()?.volumes?.map(({ name, hostPath }) => [name, hostPath?.path]))
    for (const { name, mountPath } of cleaner?.volumeMounts ?? [])
      expect(mountPath.replace(/^\/host/, '')).toBe(volumes.get(name))
    expect(volumes.size).toBe(mounts.length)
  })

  it('leaves nothing that acts on a node once it is clean', () => {
    const containers = pod()?.containers ?? []
    expect(containers).toHaveLength(1)
    const [idle] = containers
    expect(idle).toMatchObject({ name: 'agent', command: ['sleep'], args: ['infinity'] })
    expect(idle?.securityContext).toMatchObject({ runAsNonRoot: true, readOnlyRootFilesystem: true })
    expect(idle?.securityContext?.privileged).toBeUndefined()
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(idle).not.toHaveProperty(probe)
  })

  it('does not touch the rules while agents are still there', () => {
    expect(all(manifests, 'ConfigMap')).toEqual([])
  })

  it('waits in a Job whose pods the DaemonSet does not take for its own', () => {
    const labels = only(manifests, 'Job').spec?.template.metadata?.labels
    expect(labels?.['app.kubernetes.io/name']).toBe('node-firewall-uninstall')
    expect(job()).toMatchObject({ serviceAccountName: 'node-firewall-uninstall', restartPolicy: 'OnFailure' })
    // Anywhere, but not for long on a node that is down: the first that fits counts.
    const gone = ['not-ready', 'unreachable'].map((state) => ({
      key: `node.kubernetes.io/${state}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 30,
    }))
    expect(job()).toMatchObject({ tolerations: [...gone, { operator: 'Exists' }] })
    expect(job()?.containers[0]?.image).toBe(pod()?.initContainers?.[0]?.image)
  })

  it('takes along every object that is not in the namespace', () => {
    const outside = manifests.filter(
      ({ kind, metadata }) =>
        kind !== 'Namespace' && (OUTSIDE.has(kind) || metadata?.namespace !== NAMESPACE),
    )
    expect(outside.length).toBeGreaterThanOrEqual(10)
    expect(taken()).toEqual(expect.arrayContaining(outside.map(pathOf)))
  })

  it('may do that by name, and nothing else', () => {
    const rules = uninstallRole()?.rules ?? []
    const names = (resource: string) =>
      rules
        .filter(({ resources }) => resources?.includes(resource))
        .flatMap(({ resourceNames = [] }) => resourceNames)
    for (const path of taken()) {
      const [resource = '', name = ''] = path.split('/').slice(-2)
      expect(names(resource)).toContain(name)
    }
    expect(names('namespaces')).toEqual([NAMESPACE])
    for (const rule of rules) expect(rule.resourceNames).not.toEqual([])
    expect(new Set(rules.flatMap(({ verbs }) => verbs))).toEqual(new Set(['get', 'patch', 'delete']))
  })

  it('gives the command arguments that it takes', async () => {
    const args = job()?.containers[0]?.args ?? []
    // Told to stop at once it ends with 1; for a flag that it does not know with 2.
    const signals = { stop: AbortSignal.abort(), onHangup: () => {} }
    expect(await runProgram(['node', 'node-firewall', ...args], signals)).toBe(1)
    expect(await runProgram(['node', 'node-firewall', ...args, '--not-known'], signals)).toBe(2)
  })

  function taken(): string[] {
    return (job()?.containers[0]?.args ?? []).flatMap((arg) =>
      arg.startsWith('--with=') ? arg.slice(7) : [],
    )
  }
})

function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const namespace = metadata?.namespace === undefined ? '' : `namespaces/${metadata.namespace}/`
  const plural = `${kind.toLowerCase()}s`.replace(/ys$/, 'ies')
  return `/apis/${apiVersion}/${namespace}${plural}/${metadata?.name}`
}
