import { createDataFiles } from './data-files.ts'
import type { DataFiles } from './data-files.ts'
import { checkDocument, placeName, warnOfDocument } from './check-document.ts'
import { explainIssue } from './explain-issue.ts'
import type { Issue } from './explain-issue.ts'
import type { Problem } from './problem.ts'
import type { Ruleset } from './ruleset.ts'
import { rulesetSchema } from './schema.ts'
import type { RulesetDocument } from './schema.ts'
import { checkSize } from './size.ts'
import { decodeText, largestFile } from './text.ts'
import { toRuleset } from './to-ruleset.ts'
import { readYaml } from './yaml.ts'

/** A file as it was read, or why it could not be. Data files only matter where a Ruleset names them. */
export type SourceFile = { readonly path: string; readonly kind?: 'data' } & (
  | { readonly bytes: Uint8Array }
  | { readonly error: string }
)

/** Rulesets of the files without errors; with any error among the problems, none of them is to be used. */
export type Parsed = { readonly rulesets: readonly Ruleset[]; readonly problems: readonly Problem[] }

/**
 * Reads Ruleset files, and those of the other files that a set of theirs names as its list of addresses. Never
 * throws for what people can write: all problems of all files come back at once.
 */
export function parseRulesets(files: readonly SourceFile[]): Parsed {
  const documents = files.filter(({ kind }) => kind !== 'data')
  const bytes = documents.reduce((sum, file) => sum + ('bytes' in file ? file.bytes.byteLength : 0), 0)
  if (bytes > largestFile && documents.length > 1) {
    return { rulesets: [], problems: [tooMuch(documents, bytes)] }
  }
  const dataBeside = createDataFiles(files)
  const parsed = documents.map((file) => parseFile(file, dataBeside(file.path)))
  const rulesets = parsed.flatMap(({ ruleset }) => (ruleset === undefined ? [] : [ruleset]))
  const problems = new Set(parsed.flatMap(({ problems: ofFile }) => ofFile))
  return { rulesets, problems: [...problems, ...duplicates(rulesets)] }
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some(({ severity }) => severity === 'error')
}

/** Each file may be as large as all of a ConfigMap; more than one such would take too much memory to parse. */
function tooMuch(files: readonly SourceFile[], bytes: number): Problem {
  const message = `found ${bytes} bytes in all files together, expected at most ${largestFile} (1 MiB)`
  return { path: files[0]?.path ?? '', line: 1, column: 1, severity: 'error', message }
}

function parseFile(file: SourceFile, data: DataFiles): { ruleset?: Ruleset; problems: Problem[] } {
  const { path } = file
  const start = { path, line: 1, column: 1, severity: 'error' as const }
  if ('error' in file) return { problems: [{ ...start, message: file.error }] }
  const text = decodeText(file.bytes, largestFile)
  if (typeof text !== 'string') return { problems: [{ ...start, message: text.error }] }
  const { document, problems } = readYaml(text)
  if (document === undefined) return { problems: problems.map((problem) => ({ ...start, ...problem })) }

  const locate = (severity: Problem['severity']) => (issue: Issue) => ({
    path,
    severity,
    ...document.at(issue.path, issue.part),
    message: `${placeName(issue.path, document.value)}${issue.message}`,
  })
  const shape = rulesetSchema.safeParse(document.value, { reportInput: true })
  const errors = [
    ...(shape.error?.issues ?? []).flatMap(explainIssue),
    ...checkDocument(document.value, shape.data),
  ]
  const located = [...errors.map(locate('error')), ...warnOfDocument(document.value).map(locate('warning'))]
  if (errors.length > 0 || !shape.success) return { problems: located }
  const lists = checkLists(shape.data, data)
  const ofLists = [
    ...lists.inside,
    ...lists.errors.map(locate('error')),
    ...lists.warnings.map(locate('warning')),
  ]
  const all = [...located, ...ofLists]
  if (hasErrors(all)) return { problems: all }
  const ruleset = toRuleset(path, document, shape.data, data)
  return { ruleset, problems: [...all, ...checkSize(ruleset).map(locate('error'))] }
}

/** What is wrong with, or inside, the data files that the sets of a document name. */
function checkLists({ spec }: RulesetDocument, data: DataFiles) {
  const errors: Issue[] = []
  const warnings: Issue[] = []
  const inside: Problem[] = []
  for (const [name, set] of Object.entries(spec.sets ?? {})) {
    if (Array.isArray(set)) continue
    const path = ['spec', 'sets', name, 'file']
    const whyNot = data.whyNot(set.file)
    if (whyNot !== undefined) errors.push({ path, message: whyNot })
    else if (data.problemsOf(set.file).length > 0) inside.push(...data.problemsOf(set.file))
    else if (data.cidrsOf(set.file).length === 0) {
      warnings.push({
        path,
        message: 'names a file without any address: rules that name the set match nobody',
      })
    }
  }
  return { errors, warnings, inside }
}

function duplicates(rulesets: readonly Ruleset[]): Problem[] {
  return rulesets.flatMap((ruleset, index) => {
    const first = rulesets.slice(0, index).find(({ name }) => name === ruleset.name)
    if (first === undefined) return []
    const message = `metadata.name: found "${ruleset.name}", which ${first.path} has too, expected each name once`
    return [{ path: ruleset.path, severity: 'error' as const, ...ruleset.positions.name, message }]
  })
}
