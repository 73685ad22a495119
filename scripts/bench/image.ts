import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** How the image starts Node.js: its environment, and what stands between `node` and the program. */
export type Image = {
  readonly env: Readonly<Record<string, string>>
  readonly nodeFlags: readonly string[]
}

/** Reads the Dockerfile, so that what is measured is what runs. */
export async function readImage(): Promise<Image> {
  const dockerfile = await readFile(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8')
  const entrypoint = /^ENTRYPOINT \["node", (.*)\]$/m.exec(dockerfile)?.[1]
  if (entrypoint === undefined) throw new Error('the ENTRYPOINT of the Dockerfile does not start node')
  return {
    env: Object.fromEntries(
      [...dockerfile.matchAll(/^ENV (\w+)="(.*)"$/gm)].map(([, name = '', value = '']) => [name, value]),
    ),
    nodeFlags: [...entrypoint.matchAll(/"(--[^"]*)"/g)].map(([, flag = '']) => flag),
  }
}
