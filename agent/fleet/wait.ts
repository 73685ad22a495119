import { ApiError } from '../cluster/api-error.ts'
import type { Nodes } from '../cluster/list-nodes.ts'
import type { NodeMeta } from '../cluster/wire.ts'
import { hasErrors, parseRulesets } from '../ruleset/parse.ts'
import { formatProblem } from '../ruleset/problem.ts'
import { staleAfterMs } from '../status/assess.ts'
import type { State } from '../status/status.ts'
import { chooseNodes, refuseIfMeant } from './choose-nodes.ts'
import type { FleetEffects, NodesFlags } from './choose-nodes.ts'
import { createJudge } from './judge-node.ts'
import { plainLine } from './plain-text.ts'
import { readPaths } from '../cli/sources.ts'
import { createTally } from './tally.ts'
import type { Tally } from './tally.ts'
import { realTerminal } from './terminal.ts'
import { createThrottle } from './throttle.ts'
import { watchNodes } from './watch-nodes.ts'

export type WaitFlags = NodesFlags & {
  readonly ruleset: readonly string[]
  /** ms */
  readonly timeout: number
  /** Absent: Enforcing or Auditing, as the rulesets have it. */
  readonly for?: State
  readonly ignoreMissing?: boolean
  /** ms */
  readonly staleAfter?: number
}

export type WaitEffects = Omit<FleetEffects, 'terminal'> & {
  readonly tell?: (line: string) => void
  /** Whoever reads the log of a pipeline wants no line for each node: 5 s. */
  readonly tellEveryMs?: number
}

const inForceCode = 0
const notYetCode = 1
const refusedCode = 3
const judgeEveryMs = 250

/**
 * Waits until every node that rulesets select has them in force. Returns the exit code: 0 when that is so, 1 when the
 * time is over or the files have errors, 3 as soon as a node will not have them in force.
 *
 * @throws {UsageError} when the options make no sense to the API server
 * @throws {ApiError} when it cannot be asked, and trying again would not help
 */
export async function wait(flags: WaitFlags, effects: WaitEffects): Promise<number> {
  const { timeout, staleAfter = staleAfterMs } = flags
  const { signal, tell = realTerminal.tell, now = Date.now, tellEveryMs = 5_000 } = effects
  const { rulesets, problems } = parseRulesets(await readPaths(flags.ruleset))
  for (const problem of problems) tell(formatProblem(problem))
  if (hasErrors(problems)) return notYetCode
  const nodes = effects.nodes ?? chooseNodes(flags)
  const states: readonly State[] = flags.for === undefined ? ['Enforcing', 'Auditing'] : [flags.for]
  const judge = createJudge(rulesets, { states, staleAfter })
  const tally = createTally(judge, { ignoreMissing: flags.ignoreMissing === true })
  const patience = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
  try {
    await followTally(nodes, tally, { tell, now, tellEveryMs }, patience)
  } catch (error) {
    if (error instanceof ApiError) refuseIfMeant(error)
    throw error
  }
  return conclude(tally, tell)
}

type Telling = Required<Pick<WaitEffects, 'tell' | 'now' | 'tellEveryMs'>>

/** Ends when the nodes leave nothing to wait for, or when `signal` aborts. */
async function followTally(
  nodes: Nodes,
  tally: Tally,
  { tell, now, tellEveryMs }: Telling,
  signal: AbortSignal,
): Promise<void> {
  const settled = new AbortController()
  let known: ReadonlyMap<string, NodeMeta> | undefined
  let told = ''
  const telling = createThrottle(() => {
    const line = tally.progress()
    if (line !== told) tell(plainLine(line))
    told = line
  }, tellEveryMs)
  const judge = () => {
    if (known !== undefined) tally.take(known.values(), now())
    if (tally.outcome() !== 'under way') settled.abort()
  }
  const judging = createThrottle(() => {
    judge()
    if (!settled.signal.aborted) telling.poke()
  }, judgeEveryMs)
  const onNodes = (current: ReadonlyMap<string, NodeMeta>) => {
    known = current
    judging.poke()
  }
  const onTrouble = ({ message }: ApiError) => tell(`${plainLine(message)}; it is tried again`)
  try {
    await watchNodes(nodes, { onNodes, onTrouble }, AbortSignal.any([signal, settled.signal]))
    judge()
  } finally {
    judging.stop()
    telling.stop()
  }
}

function conclude(tally: Tally, tell: (line: string) => void): number {
  const outcome = tally.outcome()
  for (const line of tally.open()) tell(plainLine(line))
  tell(plainLine(tally.progress()))
  return { there: inForceCode, 'under way': notYetCode, refused: refusedCode }[outcome]
}
