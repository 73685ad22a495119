import { closesSomething, nothingClosed } from '../policy/warn.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import type { Parsed } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Problem } from '../ruleset/problem.ts'
import { selectRulesets } from '../ruleset/select.ts'
import { readPaths } from './sources.ts'

/** Prints every problem of the files; returns the exit code: 1 if any of them is an error. */
export async function lint(paths: readonly string[], { json }: { json: boolean }): Promise<number> {
  const problems = findProblems(parseRulesets(await readPaths(paths)))
  if (json) console.log(JSON.stringify(problems, null, 2))
  else for (const problem of problems) console.log(formatProblem(problem))
  return hasErrors(problems) ? 1 : 0
}

function findProblems({ rulesets, problems }: Parsed): Problem[] {
  // Whether two nodeSelectors ever meet on a node cannot be told here: only rulesets of every node are compared.
  const everywhere = rulesets.filter(({ nodeSelector }) => nodeSelector === undefined)
  const found = [...problems, ...selectRulesets(everywhere, {}).problems]
  const [first] = rulesets
  if (first === undefined || closesSomething(rulesets) || hasErrors(found)) return found
  return [...found, { path: first.path, line: 1, column: 1, severity: 'warning', message: nothingClosed }]
}
