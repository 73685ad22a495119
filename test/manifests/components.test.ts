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
  return withComponents('manifests/overlays/lke', components)
}
