import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { hasKubectl, kustomize, root } from './kustomize.ts'
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
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-overlay-')))
  onTestFinished(() => rm(folder, { recursive: true }))
  const here = (path: string) => relative(folder, join(root, path))
  const kustomization = {
    resources: [here(base)],
    components: components.map((name) => here(`manifests/components/${name}`)),
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
  return kustomize(folder)
}
