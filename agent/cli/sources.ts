import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isRulesetFile, readSource } from '../host/ruleset-files.ts'
import type { SourceFile } from '../ruleset/parse.ts'

/** Reads the files that a person names, and the Ruleset files in the folders that a person names. */
export async function readPaths(paths: readonly string[]): Promise<SourceFile[]> {
  const files = await Promise.all(paths.map(expand))
  return Promise.all(files.flat().map(async (file) => readSource(file)))
}

async function expand(path: string): Promise<string[]> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) return [path]
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter(
      (entry) => entry.isFile() && isRulesetFile(entry.name) && !entry.name.startsWith('kustomization.'),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}
