import { createHash } from 'node:crypto'
import type { Decision } from '../policy/decide.ts'
import { hasErrors } from '../ruleset/parse.ts'
import type { SourceFile } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import type { Subject } from './keeping.ts'

/** What the files say now. */
export type Candidate = {
  readonly decision: Decision
  readonly files: readonly SourceFile[]
  readonly labels: Labels | undefined
}

/** Where nothing is written that is meant for this node. */
export const noRulesets: Subject = {
  hash: 'none',
  parsed: { rulesets: [], problems: [] },
  labels: {},
  files: [],
  narrowed: [],
}

/** What the files say, if anything can be said; with errors in them, what they said before. */
export function subjectOf(
  { decision, files, labels }: Candidate,
  last: Subject | undefined,
): Subject | undefined {
  const { wanted, problems, obstacle, rulesets } = decision
  if (wanted.kind === 'whatever is there') return undefined
  if (hasErrors(problems) || obstacle !== undefined || rulesets === undefined) return last
  const hash = wanted.kind === 'policy' ? wanted.policy.hash : noRulesets.hash
  const narrowed = wanted.kind === 'policy' ? wanted.policy.failsafesBy : []
  return { hash, parsed: { rulesets, problems: [] }, labels: labels ?? {}, files, narrowed }
}

/** Digest of the text of rulesets, comments and all. */
export function digestOf(files: readonly SourceFile[]): string {
  const hash = createHash('sha256')
  for (const file of files) {
    hash.update(`${file.path}\n`)
    hash.update('bytes' in file ? file.bytes : '')
  }
  return hash.digest('hex')
}
