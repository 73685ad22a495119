import { ApiError } from '../cluster/api-error.ts'
import type { NodeMeta } from '../cluster/wire.ts'
import { readStatus } from '../status/read-status.ts'
import { askAgent } from './ask-agent.ts'
import { chooseNodes, refuseIfMeant } from './choose-nodes.ts'
import type { FleetEffects, NodesFlags } from './choose-nodes.ts'
import { formatFleet, formatNews } from './denied-table.ts'
import type { NodeDenials } from './denied-table.ts'
import { plainJson } from './plain-text.ts'
import { realTerminal } from './terminal.ts'

export type DeniedFlags = NodesFlags & {
  readonly json?: boolean
  readonly healthAddress: { readonly host: string; readonly port: number } | 'off'
}

const failure = 1

/**
 * Prints which flows are denied: those of the agent that answers on this host, or where none does, or other nodes are
 * asked for, those that the annotations of Nodes tell of. Returns the exit code, 1 where nobody could be asked.
 *
 * @throws {UsageError} when the options make no sense, to this program or to the API server
 */
export async function denied(
  name: string | undefined,
  flags: DeniedFlags,
  effects: FleetEffects,
): Promise<number> {
  const { selector, context, healthAddress, json = false } = flags
  const { signal, terminal = realTerminal, now = Date.now } = effects
  const asksCluster = [name, selector, context].some((given) => given !== undefined)
  const news = asksCluster || healthAddress === 'off' ? undefined : await askAgent(healthAddress, signal)
  if (news !== undefined) {
    print(news, json, () => formatNews(news, now()))
    return 0
  }
  const nodes = effects.nodes ?? chooseNodes(flags, name)
  try {
    const found = (await nodes.list(signal)).map(readDenials)
    print(found, json, () => formatFleet(found, now()))
    if (found.length > 0) return 0
    terminal.tell(name === undefined ? 'found no nodes' : `error: found no node "${name}"`)
    return failure
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    refuseIfMeant(error)
    terminal.tell(`error: ${error.message}`)
    return failure
  }

  function print(value: unknown, asJson: boolean, format: () => string[]): void {
    const lines = asJson ? [plainJson(value, 2)] : format()
    terminal.write(lines.map((line) => `${line}\n`).join(''))
  }
}

function readDenials({ name: node, annotations }: NodeMeta): NodeDenials {
  const { logging, denied: top } = readStatus(annotations)?.details ?? {}
  return { node, logging, denied: top }
}
