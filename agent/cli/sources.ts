import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readMentioned, readSource } from '../host/ruleset-files.ts'
import { isRulesetFile } from '../ruleset/folder.ts'
import type { SourceFile } from '../ruleset/parse.ts'

/** Reads the Ruleset files that a person names, those in the folders named, and the data files beside them. */
export async function readPaths(paths: readonly string[]): Promise<SourceFile[]> {
  const files = (await Promise.all(paths.map(expand))).flat()
  const documents = await Promise.all(files.map(async (file) => readSource(file)))
  const folders = [...new Set(files.map((file) => dirname(file)))]
  const data = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(folder).catch(() => [])
      const ofFolder = documents.filter(({ path }) => dirname(path) === folder)
      return readMentioned(names, ofFolder, { folder, shownAs: folder })
    }),
  )
  return [...documents, ...data.flat()]
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
