import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A folder that changes as a mounted ConfigMap does. */
export type ConfigMap = {
  readonly folder: string
  /** Replaces the ruleset; returns the moment just before the new one is to be seen, see performance.now(). */
  edit(text: string): Promise<number>
}

/**
 * Makes such a folder: the files are links into `..data`, which is a link to a folder with a time in its name and
 * is swapped in one rename.
 */
export async function createConfigMap(folder: string, text: string): Promise<ConfigMap> {
  const names = ['..2026_01_01_00_00_00.a', '..2026_01_01_00_00_00.b'] as const
  let version = 0
  const edit = async (content: string) => {
    const last = names[version % 2] ?? names[0]
    version += 1
    const next = names[version % 2] ?? names[0]
    await mkdir(join(folder, next), { recursive: true })
    await writeFile(join(folder, next, 'bench.yaml'), content)
    await symlink(next, join(folder, '..data_tmp'))
    const startedAt = performance.now()
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    await rm(join(folder, last), { recursive: true, force: true })
    return startedAt
  }
  await edit(text)
  await symlink('..data/bench.yaml', join(folder, 'bench.yaml'))
  return { folder, edit }
}
