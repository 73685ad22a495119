import type { Probe } from '../probes/probe.ts'
import { inTime } from './in-time.ts'
import { connectOwnNode } from './own-node.ts'
import type { OwnNodeOptions } from './own-node.ts'

/** The API server answers, over a new connection, with the own Node. */
export function apiServerProbe(options: OwnNodeOptions): Probe {
  const node = connectOwnNode(options)
  const request = { method: 'GET', path: `/api/v1/nodes/${encodeURIComponent(options.nodeName)}` } as const
  const read = async (signal: AbortSignal) => void (await inTime(request, node.read(signal), signal))
  return { name: 'api server', before: read, after: read }
}
