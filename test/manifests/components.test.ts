import { describe, expect, it } from 'vitest'
import { withComponents } from './component-overlay.ts'
import { hasKubectl, kustomize } from './kustomize.ts'
import { only } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { findProblems } from './schema.ts'

const args = (manifests: readonly Manifest[]) =>
  only(manifests, 'DaemonSet').spec?.template.spec?.containers[0]?.args

describe.skipIf(!hasKubectl())('components that are opted in to', () => {
  it.each([
    ['boot-restore', ['agent', '--boot-restore']],
    ['startup-taint', ['agent', '--startup-taint']],
  ])('%s is a flag of the agent', async (component, expected) => {
    const manifests = await overlay([component])
    expect(args(manifests)).toEqual(expected)
    expect(manifests.flatMap(findProblems)).toEqual([])
  })

  it('stand beside each other, in any order', async () => {
    expect(args(await overlay(['boot-restore', 'startup-taint']))).toEqual([
      'agent',
      '--boot-restore',
      '--startup-taint',
    ])
    expect(args(await overlay(['startup-taint', 'boot-restore']))).toEqual([
      'agent',
      '--startup-taint',
      '--boot-restore',
    ])
  })

  it('no-admission-policy takes the policies away, and nothing else', async () => {
    const [before, after] = await Promise.all([overlay([]), overlay(['no-admission-policy'])])
    const isPolicy = ({ kind }: Manifest) => kind.startsWith('ValidatingAdmissionPolicy')
    expect(before.filter(isPolicy)).toHaveLength(4)
    expect(after).toEqual(before.filter((manifest) => !isPolicy(manifest)))
  })

  it('boot-restore lets the agent write units of the host, and nobody else’s folder', async () => {
    const [before, after] = await Promise.all([kustomize('manifests/base'), overlay(['boot-restore'])])
    const pod = (manifests: readonly Manifest[]) => only(manifests, 'DaemonSet').spec?.template.spec
    expect(pod(after)?.volumes).toEqual([
      ...(pod(before)?.volumes ?? []),
      { name: 'units', hostPath: { path: '/etc/systemd/system', type: 'Directory' } },
    ])
    expect(pod(after)?.containers[0]?.volumeMounts).toEqual([
      ...(pod(before)?.containers[0]?.volumeMounts ?? []),
      { name: 'units', mountPath: '/etc/systemd/system' },
    ])
  })

  it('unprivileged leaves two capabilities in the network of the host, and nothing else of it', async () => {
    const manifests = await overlay(['unprivileged'])
    expect(manifests.flatMap(findProblems)).toEqual([])
    const pod = only(manifests, 'DaemonSet').spec?.template.spec
    const { hostNetwork, hostPID, hostIPC, shareProcessNamespace, securityContext } = pod ?? {}
    expect({ hostNetwork, hostPID, hostIPC, shareProcessNamespace, securityContext }).toEqual({
      hostNetwork: true,
    })
    expect(pod?.containers).toHaveLength(1)
    expect(pod?.initContainers).toBeUndefined()
    expect(pod?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      seccompProfile: { type: 'RuntimeDefault' },
      seLinuxOptions: { level: 's0', type: 'spc_t' },
    })
    expect(pod?.containers[0]?.env).toContainEqual({ name: 'NODE_FIREWALL_TARGET_PID', value: 'self' })
    const ofHost = pod?.volumes?.flatMap(({ hostPath }) => hostPath?.path ?? [])
    expect(ofHost).toEqual(['/run/xtables.lock', '/var/lib/node-firewall', '/run/node-firewall.lock'])
    // Pod Security has no level between that admits the network of the host.
    expect(only(manifests, 'Namespace').metadata?.labels).toMatchObject({
      'pod-security.kubernetes.io/enforce': 'privileged',
    })
  })

  it('unprivileged changes nothing else', async () => {
    const [before, after] = await Promise.all([overlay([]), overlay(['unprivileged'])])
    const without = (manifests: readonly Manifest[]) =>
      manifests.map((manifest) => {
        if (manifest.kind !== 'DaemonSet') return manifest
        const { hostPID: _, containers, ...pod } = manifest.spec?.template.spec ?? { containers: [] }
        const rest = containers.map(({ securityContext: __, env = [], ...container }) => ({
          ...container,
          env: env.filter(({ name }) => name !== 'NODE_FIREWALL_TARGET_PID'),
        }))
        return { ...manifest, spec: { ...manifest.spec, template: { ...pod, containers: rest } } }
      })
    expect(without(after)).toEqual(without(before))
  })

  it.each([[['unprivileged', 'boot-restore', 'startup-taint']], [['boot-restore', 'unprivileged']]])(
    'unprivileged stands beside the others: %j',
    async (components) => {
      const manifests = await overlay(components)
      expect(args(manifests)?.slice(1).toSorted()).toEqual(
        components.filter((name) => name !== 'unprivileged').map((name) => `--${name}`),
      )
      const container = only(manifests, 'DaemonSet').spec?.template.spec?.containers[0]
      expect(container?.securityContext?.privileged).toBeUndefined()
      expect(container?.volumeMounts?.at(-1)?.mountPath).toBe('/etc/systemd/system')
    },
  )
})

describe.skipIf(!hasKubectl())('api-watch, which every overlay has', () => {
  it.each(['first', 'last'])('goes with the other components, named %s', async (place) => {
    const others = ['boot-restore', 'startup-taint']
    const components = place === 'first' ? ['api-watch', ...others] : [...others, 'api-watch']
    const manifests = await overlay(components, 'manifests/base')
    expect(args(manifests)).toEqual(['agent', '--boot-restore', '--startup-taint'])
    expect(manifests.flatMap(findProblems)).toEqual([])
  })

  it('is the whole difference that its line makes', async () => {
    const [without, with_] = await Promise.all([
      overlay([], 'manifests/base'),
      overlay(['api-watch'], 'manifests/base'),
    ])
    const env = (manifests: readonly Manifest[]) =>
      only(manifests, 'DaemonSet').spec?.template.spec?.containers[0]?.env ?? []
    const watched = { name: 'NODE_FIREWALL_CONFIGMAPS', value: 'node-firewall-rules' }
    expect(env(with_)).toEqual([...env(without), watched])
    const names = (manifests: readonly Manifest[]) =>
      manifests.map(({ kind, metadata }) => `${kind} ${metadata?.namespace} ${metadata?.name}`)
    const added = names(with_).filter((name) => !names(without).includes(name))
    expect(added).toEqual([
      'Role node-firewall node-firewall-rules',
      'RoleBinding node-firewall node-firewall-rules',
    ])
  })
})

async function overlay(components: readonly string[], base = 'manifests/overlays/lke'): Promise<Manifest[]> {
  return withComponents(base, components)
}
