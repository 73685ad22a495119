import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { stringify } from 'yaml'
import { kustomize, root } from './kustomize.ts'
import type { Manifest } from './manifest.ts'

/** What an overlay would send that adds components to another folder. */
export async function withComponents(resource: string, components: readonly string[]): Promise<Manifest[]> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'node-firewall-overlay-')))
  const here = (path: string) => relative(folder, join(root, path))
  const kustomization = {
    resources: [here(resource)],
    components: components.map((name) => here(`manifests/components/${name}`)),
  }
  try {
    await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
    return await kustomize(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}
