import { ApiError } from '../cluster/api-error.ts'
import type { NodeMeta } from '../cluster/wire.ts'
import { assessNode, staleAfterMs, worstFirst, worstSeverity } from '../status/assess.ts'
import type { Assessed } from '../status/assess.ts'
import { chooseNodes, refuseIfMeant } from './choose-nodes.ts'
import type { FleetEffects, NodesFlags } from './choose-nodes.ts'
import { followStatus } from './follow-status.ts'
import { plainJson } from './plain-text.ts'
import { formatDetails } from './status-details.ts'
import { formatTable } from './status-table.ts'
import { realTerminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'
import { UsageError } from '../cli/usage-error.ts'

export type StatusFlags = NodesFlags & {
  readonly watch?: boolean
  readonly json?: boolean
  /** ms */
  readonly staleAfter?: number
}

/** Nothing is known: also the code for nodes without the status of an agent. */
const unknownCode = 4

/**
 * Prints what all nodes, or one of them, say of themselves. Returns the exit code, which is that of the worst: 0 fine,
 * 1 a change is under way, 3 something is wrong, 4 not known.
 *
 * @throws {UsageError} when the options make no sense, to this program or to the API server
 */
export async function status(
  name: string | undefined,
  flags: StatusFlags,
  effects: FleetEffects,
): Promise<number> {
  const { staleAfter = staleAfterMs } = flags
  if (name !== undefined && flags.selector !== undefined) {
    throw new UsageError('found a node and --selector, expected one of them')
  }
  const { signal, terminal = realTerminal, now = Date.now } = effects
  const nodes = effects.nodes ?? chooseNodes(flags, name)
  const assess = (found: Iterable<NodeMeta>) =>
    worstFirst([...found].map((node) => assessNode(node, { now: now(), staleAfter })))
  const view = { assess, now, terminal, one: name, json: flags.json === true }
  try {
    const follows = flags.watch === true
    const found = follows ? await followStatus(nodes, view, signal) : assess(await nodes.list(signal))
    if (found.length === 0) {
      terminal.tell(name === undefined ? 'found no nodes' : `error: found no node "${name}"`)
    }
    if (!follows && (found.length > 0 || (view.json && name === undefined))) {
      terminal.write(`${print(found, view).join('\n')}\n`)
    }
    // A selector that selects nobody must not look like a fleet on which all is well.
    return found.length === 0 ? unknownCode : worstSeverity(found)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    refuseIfMeant(error)
    terminal.tell(`error: ${error.message}`)
    return unknownCode
  }
}

type View = {
  readonly now: () => number
  readonly terminal: Terminal
  readonly one: string | undefined
  readonly json: boolean
}

function print(found: readonly Assessed[], { now, terminal, one, json }: View): string[] {
  if (json) return [plainJson(one === undefined ? found : found[0], 2)]
  if (one === undefined) return formatTable(found, { now: now(), ...terminal.size() })
  return found.flatMap((node) => formatDetails(node, now()))
}
