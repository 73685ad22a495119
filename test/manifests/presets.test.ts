import { mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse, stringify } from 'yaml'
import { hasKubectl, kustomize, root } from './kustomize.ts'
import { only } from './manifest.ts'

const folders = await readdir(join(root, 'rulesets'), { withFileTypes: true })
const presets = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name)

const text = (preset: string) => readFile(join(root, 'rulesets', preset, `${preset}.yaml`), 'utf8')

describe('the presets', () => {
  it.each(presets)('%s is named like its file and has a line in the README', async (preset) => {
    expect(parse(await text(preset))).toMatchObject({ metadata: { name: preset } })
    expect(await readFile(join(root, 'rulesets', 'README.md'), 'utf8')).toContain(`| [\`${preset}\`]`)
  })

  it('agree on the default, so that any of them can be combined', async () => {
    const defaults = await Promise.all(
      presets.map(async (preset) => parse(await text(preset)).spec.defaults?.ingress),
    )
    expect(new Set(defaults.filter((ingress) => ingress !== undefined))).toEqual(new Set(['reject']))
  })
})

describe.skipIf(!hasKubectl())('choosing presets', () => {
  it('base deploys none', async () => {
    expect(await keys('manifests/base')).toEqual([])
  })

  it('the overlay for LKE deploys one', async () => {
    expect(await keys('manifests/overlays/lke')).toEqual(['lke-worker.yaml'])
  })

  it('an overlay of one’s own takes any presets and adds files', async () => {
    const overlay = await makeOverlay('manifests/base', presets)
    expect(await keys(overlay)).toEqual(['own.yaml', ...presets.map((preset) => `${preset}.yaml`)].toSorted())
  })

  it('an overlay of one’s own stands on another one', async () => {
    const overlay = await makeOverlay('manifests/overlays/lke', ['ssh-bastion'])
    expect(await keys(overlay)).toEqual(['lke-worker.yaml', 'own.yaml', 'ssh-bastion.yaml'])
  })
})

async function keys(folder: string): Promise<string[]> {
  return Object.keys(only(await kustomize(folder), 'ConfigMap').data ?? {}).toSorted()
}

async function makeOverlay(base: string, components: readonly string[]): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-overlay-')))
  onTestFinished(() => rm(folder, { recursive: true }))
  const here = (path: string) => relative(folder, join(root, path))
  const kustomization = {
    resources: [here(base)],
    components: components.map((preset) => here(`rulesets/${preset}`)),
    configMapGenerator: [
      {
        name: 'node-firewall-rules',
        namespace: 'node-firewall',
        behavior: 'merge',
        files: ['own.yaml'],
      },
    ],
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
  await writeFile(join(folder, 'own.yaml'), 'kind: Ruleset\n')
  return folder
}
