import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, messageOf } from '../errors.ts'
import { isRulesetFile, mentionedBy, noRulesets } from '../ruleset/folder.ts'
import type { SourceFile } from '../ruleset/parse.ts'
import { largestDataFile, largestFile, tooLarge } from '../ruleset/text.ts'

/**
 * Reads the Ruleset files (`*.yaml`, `*.yml`) of a directory, in order of their names, and then the data files that
 * they mention. What cannot be read comes back as an error of that file: this never rejects.
 *
 * In a mounted ConfigMap the files are links into `..data`, which one rename swaps for another folder: all files
 * are read from the same one, and again from the new one if it was swapped meanwhile.
 */
export async function readRulesetFiles(directory: string): Promise<readonly SourceFile[]> {
  for (;;) {
    const data = await dataFolder(directory)
    const files = await readFolder(data ?? directory, directory)
    if (data === (await dataFolder(directory))) return files
  }
}

async function readFolder(folder: string, shownAs: string): Promise<readonly SourceFile[]> {
  try {
    const all = (await readdir(folder)).toSorted()
    const names = all.filter(isRulesetFile)
    if (names.length === 0) return [noRulesets(shownAs)]
    const documents = await Promise.all(
      names.map(async (name) => readSource(join(folder, name), join(shownAs, name))),
    )
    return [...documents, ...(await readMentioned(all, documents, { folder, shownAs }))]
  } catch (error) {
    return [{ path: shownAs, error: `the folder cannot be read: ${reason(error)}` }]
  }
}

/** Reads the data files beside Rulesets; files that none of them mentions are nobody's business. */
export async function readMentioned(
  names: readonly string[],
  documents: readonly SourceFile[],
  { folder, shownAs }: { readonly folder: string; readonly shownAs: string },
): Promise<SourceFile[]> {
  return Promise.all(
    mentionedBy(documents, names).map(async (name): Promise<SourceFile> => {
      const source = await readSource(join(folder, name), join(shownAs, name), largestDataFile)
      return { ...source, kind: 'data' }
    }),
  )
}

/** Reads one file of at most so many bytes; `path` is how messages call it. */
export async function readSource(
  file: string,
  path = file,
  largest: number = largestFile,
): Promise<SourceFile> {
  try {
    const found = await stat(file)
    const { size } = found
    // A pipe would be read for ever, and a file of gigabytes take all memory before anybody could complain.
    if (!found.isFile())
      return { path, error: `found ${found.isDirectory() ? 'a folder' : 'no file'}, expected a file` }
    if (size > largest) return { path, error: tooLarge(size, largest) }
    return { path, bytes: await readFile(file) }
  } catch (error) {
    return { path, error: `the file cannot be read: ${reason(error)}` }
  }
}

/** The folder that `..data` stands for now; nothing where there is no such link. */
async function dataFolder(directory: string): Promise<string | undefined> {
  return realpath(join(directory, '..data')).catch(() => undefined)
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EISDIR: 'it is a folder',
  ELOOP: 'its symbolic links form a loop',
  ENOENT: 'it does not exist',
  ENOTDIR: 'it is not a folder',
}

function reason(error: unknown): string {
  return reasons[codeOf(error) ?? ''] ?? messageOf(error)
}
