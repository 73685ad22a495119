import { mkdtemp, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { stringify } from 'yaml'

export const root = join(import.meta.dirname, '..', '..')

const agentImage = 'ghcr.io/node-firewall/node-firewall'

/** Writes an overlay over a folder of the checkout, with another image if one is given; returns its folder. */
export async function writeOverlay(
  scratch: string,
  folder: string,
  image: string | undefined,
): Promise<string> {
  const own = await mkdtemp(join(scratch, 'overlay-'))
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [relative(own, resolve(root, folder))],
    ...(image === undefined ? {} : { images: [{ name: agentImage, ...splitImage(image) }] }),
  }
  await writeFile(join(own, 'kustomization.yaml'), stringify(kustomization))
  return own
}

/** Writes rulesets and data files into a folder of their own. */
export async function writeFiles(scratch: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(scratch, 'rules-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

/** A folder for what one run writes. kustomize takes relative paths by where they really are. */
export async function makeScratch(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), 'node-firewall-e2e-')))
}

/** The name, tag and digest of an image, as kustomize has them. */
export function splitImage(image: string): Readonly<Record<string, string>> {
  const { name, tag, digest } =
    /^(?<name>.+?)(?::(?<tag>[\w.-]+))?(?:@(?<digest>\w+:\w+))?$/.exec(image)?.groups ?? {}
  if (name === undefined) throw new Error(`found "${image}", expected the name of an image`)
  if (digest !== undefined) return { newName: name, digest }
  return { newName: name, newTag: tag ?? 'latest' }
}
