import type { ApiError } from '../cluster/api-error.ts'
import type { Nodes } from '../cluster/list-nodes.ts'
import type { NodeMeta } from '../cluster/wire.ts'
import { summarize } from '../status/assess.ts'
import type { Assessed } from '../status/assess.ts'
import { plainJson } from './plain-text.ts'
import { formatDetails } from './status-details.ts'
import { cut, formatTable } from './status-table.ts'
import type { Terminal } from './terminal.ts'
import { createThrottle } from './throttle.ts'
import { watchNodes } from './watch-nodes.ts'

export type FollowedView = {
  readonly assess: (nodes: Iterable<NodeMeta>) => readonly Assessed[]
  readonly now: () => number
  readonly terminal: Terminal
  /** Name of the node that is looked at; absent: all. */
  readonly one: string | undefined
  readonly json: boolean
}

/** A rollout over thousands of nodes changes many of them at once. */
const drawEveryMs = 250
/** Ages grow, and who is silent for too long sends no event. */
const tickMs = 5_000

const toTheTop = '\u001B[H'
const clearBelow = '\u001B[J'

/**
 * Shows nodes until `signal` aborts: drawn over and over on a screen, elsewhere a line for each that has changed.
 * Returns what was seen last.
 *
 * @throws {ApiError} for what does not pass by itself: no credentials, no rights, a request that makes no sense
 */
export async function followStatus(
  nodes: Nodes,
  view: FollowedView,
  signal: AbortSignal,
): Promise<readonly Assessed[]> {
  let known: ReadonlyMap<string, NodeMeta> | undefined
  let trouble: string | undefined
  const show = view.terminal.isScreen && !view.json ? createScreen(view) : createLines(view)
  const throttle = createThrottle(() => {
    if (known !== undefined) show(view.assess(known.values()), trouble)
  }, drawEveryMs)
  const tick = setInterval(throttle.poke, tickMs)
  const onNodes = (current: ReadonlyMap<string, NodeMeta>) => {
    known = current
    trouble = undefined
    throttle.poke()
  }
  const onTrouble = (error: ApiError) => {
    trouble = error.message
    if (known === undefined || !view.terminal.isScreen)
      view.terminal.tell(`error: ${trouble}; it is tried again`)
    throttle.poke()
  }
  try {
    await watchNodes(nodes, { onNodes, onTrouble }, signal)
  } finally {
    clearInterval(tick)
    throttle.stop()
  }
  return view.assess(known?.values() ?? [])
}

type Show = (found: readonly Assessed[], trouble: string | undefined) => void

/** As much of it as the screen holds; the worst come first, and what is left out is counted. */
function createScreen({ terminal, one, now }: FollowedView): Show {
  return (found, trouble) => {
    const { width, height = Infinity } = terminal.size()
    const lines =
      one === undefined
        ? formatTable(found, { now: now(), ...(width === undefined ? {} : { width }) })
        : found.flatMap((node) => formatDetails(node, now()))
    const foot = [
      ...(one === undefined ? [summarize(found)] : found.length === 0 ? [`found no node "${one}"`] : []),
      ...(trouble === undefined ? [] : [`error: ${trouble}; it is tried again`]),
    ]
    const shown = lines.slice(0, Math.max(1, height - foot.length - 1))
    const frame = [...shown, ...foot].map((line) => `${cut(line, width)}\u001B[K\n`)
    terminal.write(`${toTheTop}${frame.join('')}${clearBelow}`)
  }
}

/** One line for each node that says something new, as a log takes it; JSON has a line for each, too. */
function createLines({ terminal, one, now, json }: FollowedView): Show {
  const shown = new Map<string, string>()
  return (found) => {
    const isFirst = shown.size === 0
    const isNew = found.map((assessed) => {
      const key = JSON.stringify({ ...assessed, status: { ...assessed.status, verifiedAt: undefined } })
      const changed = shown.get(assessed.node) !== key
      shown.set(assessed.node, key)
      return changed
    })
    const changed = found.filter((_, index) => isNew[index])
    const [header = '', ...rows] = formatTable(found, { now: now() })
    const lines = json
      ? changed.map((assessed) => plainJson(assessed))
      : one === undefined
        ? [...(isFirst ? [header] : []), ...rows.filter((_, index) => isNew[index])]
        : changed.flatMap((assessed) => formatDetails(assessed, now()))
    if (lines.length > 0) terminal.write(`${lines.join('\n')}\n`)
  }
}
