import { findBypasses } from '../bypass/find-bypasses.ts'
import { describeFinding } from '../bypass/finding.ts'
import { warnOfUnseen } from '../bypass/judge-programs.ts'
import type { Seen } from '../netfilter/keep-family.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Knowledge } from './knowledge.ts'

/** Annotations are for reading: the log has the rest. */
export const mostListed = 5

/** What is odd, and holds all the same. */
export function warnings(knowledge: Knowledge): string[] {
  const { decision, families, facts, otherRules, overridden, keptProblems = [], dataplane } = knowledge
  const ofInput = (decision?.problems ?? [])
    .filter(({ severity }) => severity === 'warning')
    .map(formatProblem)
  const ofPolicy = decision?.wanted.kind === 'policy' ? decision.wanted.policy.warnings : []
  const ofFamilies = Object.entries(families).flatMap(([family, { seen, notes }]) => [
    ...notes.map((note) => `${family}: ${note}`),
    ...closedBases(seen).map(
      (base) =>
        `${family}: the policy of ${base} is DROP, so what a rule accepts is dropped unless somebody else accepts it`,
    ),
  ])
  const ofHost = [
    ...(overridden?.problems ?? []),
    ...keptProblems,
    ...(dataplane === undefined ? [] : [...dataplane.unread, ...warnOfUnseen(dataplane)]),
    ...unread(knowledge.logging),
  ]
  return [...ofHost, ...(facts?.warnings ?? []), ...otherRules, ...ofPolicy, ...ofInput, ...ofFamilies].slice(
    0,
    mostListed * 2,
  )
}

function unread(logging: Knowledge['logging']): string[] {
  if (logging?.logging?.by !== 'nothing') return []
  return [`what rules log is not read: ${logging.logging.note ?? ''}`]
}

/** What the rulesets say and this node does not do, as somebody else decides. */
export function notEnforceable({ families, dataplane }: Knowledge): string[] {
  const beside = dataplane === undefined ? [] : findBypasses(dataplane).map(describeFinding)
  const before = Object.entries(families).flatMap(([family, { seen }]) => {
    return Object.entries(seen?.positions ?? {}).flatMap(([base, { precededBy }]) => {
      if (precededBy === undefined) return []
      const { rule } = precededBy
      return [
        `${family}: what "-A ${base} ${rule}" accepts or drops never reaches our rules; it belongs to somebody else`,
      ]
    })
  })
  return [...before, ...beside].slice(0, mostListed * 2)
}

/** Base chains that lead to ours and drop what nobody decides. */
function closedBases(seen: Seen | undefined): string[] {
  return Object.entries(seen?.positions ?? {})
    .filter(([, { jumps, policy }]) => policy === 'DROP' && jumps.length > 0)
    .map(([base]) => base)
}
