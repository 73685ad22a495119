import { readdir, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { readMentioned, readSource } from '../host/ruleset-files.ts'
import { isRulesetFile, noRulesets } from '../ruleset/folder.ts'
import type { SourceFile } from '../ruleset/parse.ts'

/** Reads the Ruleset files that a person names, those in the folders named, and the data files beside them. */
export async function readPaths(paths: readonly string[]): Promise<SourceFile[]> {
  const found = await Promise.all(paths.map(async (path) => ({ path, files: await expand(path) })))
  const empty = found.filter(({ files }) => files.length === 0).map(({ path }) => noRulesets(path))
  const files = found.flatMap((one) => one.files)
  const documents = await Promise.all(files.map(async (file) => readSource(file)))
  const folders = [...new Set(files.map((file) => dirname(file)))]
  const data = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(folder).catch(() => [])
      const ofFolder = documents.filter(({ path }) => dirname(path) === folder)
      return readMentioned(names, ofFolder, { folder, shownAs: folder })
    }),
  )
  return [...empty, ...documents, ...data.flat()]
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
      (entry) =>
        !entry.isDirectory() && isRulesetFile(entry.name) && !entry.name.startsWith('kustomization.'),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !isHidden(relative(path, file)))
    .toSorted()
}

/** As the folders are that the links of a mounted ConfigMap lead to: their files would be read twice. */
function isHidden(path: string): boolean {
  return path.split(sep).some((name) => name.startsWith('.'))
}
