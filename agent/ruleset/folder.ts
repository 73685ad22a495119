import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { SourceFile } from './parse.ts'
import { isRulesetName } from './schema.ts'

/** What a kubelet would mount in a folder, by the names of the files, as the sources that reading them there gives. */
export function sourcesOf(folder: string, files: ReadonlyMap<string, Uint8Array>): readonly SourceFile[] {
  const names = [...files.keys()].toSorted()
  const read = (name: string) => {
    const bytes = files.get(name)
    return bytes === undefined ? [] : [{ path: join(folder, name), bytes }]
  }
  const documents = names.filter(isRulesetFile).flatMap(read)
  if (documents.length === 0) return [noRulesets(folder)]
  const data = mentionedBy(documents, names).flatMap(read)
  return [...documents, ...data.map((file) => ({ ...file, kind: 'data' as const }))]
}

export function isRulesetFile(name: string): boolean {
  return isRulesetName(name) && !name.startsWith('.')
}

/** Names of data files that stand in the text of a Ruleset; files that none of them mentions are nobody's business. */
export function mentionedBy(documents: readonly SourceFile[], names: readonly string[]): string[] {
  const texts = documents.flatMap((document) => ('bytes' in document ? [Buffer.from(document.bytes)] : []))
  return names.filter(
    (name) => !isRulesetName(name) && !name.startsWith('.') && texts.some((text) => text.includes(name)),
  )
}

export function noRulesets(folder: string): SourceFile {
  return { path: folder, error: 'found no *.yaml file in this folder, expected at least one Ruleset' }
}

/** The same for the same text, whichever way it came. */
export function digestSources(files: readonly SourceFile[]): string {
  const hash = createHash('sha256')
  for (const file of files) {
    const content = 'bytes' in file ? file.bytes : Buffer.from(file.error)
    hash.update(`${file.path}\n${'bytes' in file ? 'text' : 'error'} ${content.byteLength}\n`).update(content)
  }
  return hash.digest('hex')
}
