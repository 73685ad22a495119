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
})

async function overlay(components: readonly string[]): Promise<Manifest[]> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-overlay-')))
  onTestFinished(() => rm(folder, { recursive: true }))
  const here = (path: string) => relative(folder, join(root, path))
  const kustomization = {
    resources: [here('manifests/overlays/lke')],
    components: components.map((name) => here(`manifests/components/${name}`)),
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
  return kustomize(folder)
}
