import type { Parsed, SourceFile } from '../ruleset/parse.ts'

/** Parses again only when a byte has changed: most passes find the files as they were. */
export function parseOnce(
  parse: (files: readonly SourceFile[]) => Parsed,
): (files: readonly SourceFile[]) => Parsed {
  let last: { files: readonly SourceFile[]; parsed: Parsed } | undefined
  return (files) => {
    if (last === undefined || !sameFiles(last.files, files)) last = { files, parsed: parse(files) }
    return last.parsed
  }
}

function sameFiles(a: readonly SourceFile[], b: readonly SourceFile[]): boolean {
  return a.length === b.length && a.every((file, index) => sameFile(file, b[index]))
}

function sameFile(a: SourceFile, b: SourceFile | undefined): boolean {
  if (b === undefined || a.path !== b.path) return false
  if ('error' in a || 'error' in b) return 'error' in a && 'error' in b && a.error === b.error
  return Buffer.compare(a.bytes, b.bytes) === 0
}
