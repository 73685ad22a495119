import { isDeepStrictEqual } from 'node:util'
import { findDeadRules } from '../policy/shadow.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import {
  closesSomething,
  describeSwitchedOff,
  findSwallowed,
  nothingClosed,
  swallowed,
} from '../policy/warn.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import type { Parsed } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import type { Problem } from '../ruleset/problem.ts'
import { orderRulesets, selectRulesets } from '../ruleset/select.ts'
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
  if (first === undefined || hasErrors(found)) return found
  const nothingCloses: Problem = {
    path: first.path,
    line: 1,
    column: 1,
    severity: 'warning',
    message: nothingClosed,
  }
  return [
    ...found,
    ...(closesSomething(rulesets) ? [] : [nothingCloses]),
    ...rulesets.flatMap(findSwitchedOff),
    ...rulesets.flatMap((ruleset) => warnOfSwallowed(ruleset, rulesets)),
    ...findDead(rulesets),
  ]
}

function findSwitchedOff(ruleset: Ruleset): Problem[] {
  const { path, positions } = ruleset
  return describeSwitchedOff(ruleset).map(({ failsafe, loss }) => {
    const position = positions.failsafe[failsafe] ?? positions.name
    return {
      path,
      ...position,
      severity: 'warning',
      message: `failsafe ${failsafe} is switched off: ${loss}`,
    }
  })
}

function warnOfSwallowed(ruleset: Ruleset, rulesets: readonly Ruleset[]): Problem[] {
  const beside = rulesets.filter((other) => meets(other, ruleset))
  if (!findSwallowed([...new Set([ruleset, ...beside])]).includes(ruleset)) return []
  const { path, positions } = ruleset
  return [{ path, ...positions.name, severity: 'warning', message: swallowed }]
}

/** Rules that can never match, as far as that holds on every node their ruleset selects. */
function findDead(rulesets: readonly Ruleset[]): Problem[] {
  const ordered = orderRulesets(rulesets)
  const named = new Map(ordered.map((ruleset) => [ruleset.name, ruleset]))
  return findDeadRules(ordered, Date.now())
    .filter(({ ruleset, by }) => by === undefined || meets(named.get(by.ruleset), named.get(ruleset)))
    .map(({ path, line, column, rule, reason }) => {
      return { path, line, column, severity: 'warning', message: `rule "${rule}" can never match: ${reason}` }
    })
}

/** Whether the first ruleset is on every node that the second one is on. */
function meets(first: Ruleset | undefined, second: Ruleset | undefined): boolean {
  if (first === second || first?.nodeSelector === undefined) return true
  return isDeepStrictEqual(first.nodeSelector, second?.nodeSelector)
}
