import { decide } from '../policy/decide.ts'
import type { Decision, Known } from '../policy/decide.ts'
import type { SourceFile } from '../ruleset/parse.ts'
import type { Override } from './break-glass.ts'
import type { Trials } from './trials.ts'

type Written = { readonly known: Known; readonly files: readonly SourceFile[] }

/** What is to be in force: the candidate, or for as long as it may not be, what was confirmed last. */
export async function choose(
  candidate: Decision,
  last: Decision | undefined,
  { known, files }: Written,
  trials: Pick<Trials, 'choose'>,
): Promise<Decision> {
  const choice = await trials.choose({ decision: candidate, files, labels: known.labels })
  if (choice.kind === 'candidate' && !choice.widens) return candidate
  const { problems } = candidate
  if (choice.kind === 'whatever is there') return { ...candidate, wanted: choice }
  // Of the same rulesets as the candidate; what is wrong with newer ones is told already.
  const same = { parsed: { rulesets: candidate.rulesets ?? [], problems: [] }, labels: known.labels }
  const { parsed, labels } = choice.kind === 'standing' ? choice : same
  const { widens } = choice
  // What is about to be taken back must not stand in for what cannot be resolved now.
  const before = last?.wanted === candidate.wanted ? undefined : last
  const standing = decide(before, { ...known, parsed, labels, widens })
  return {
    ...standing,
    ...(candidate.obstacle === undefined ? {} : { obstacle: candidate.obstacle }),
    problems: choice.kind === 'standing' ? [...problems, ...standing.problems] : problems,
  }
}

/**
 * What is to be in force while somebody has broken the glass: nothing, or the candidate as an audit. Where that cannot be
 * resolved now, what denies must not stand in for it: then it is nothing.
 */
export function override(
  { mode }: Override,
  candidate: Decision,
  last: Decision | undefined,
  known: Known,
): Decision {
  if (mode === 'off') return { ...candidate, wanted: { kind: 'nothing' } }
  const audited = decide(last, { ...known, audits: true })
  const { wanted } = audited
  const isAudit = wanted.kind === 'policy' && wanted.policy.mode === 'audit'
  return isAudit ? audited : { ...audited, wanted: { kind: 'nothing' } }
}
