import type { ApiError } from '../cluster/api-error.ts'
import type { Nodes } from '../cluster/list-nodes.ts'
import type { NodeMeta } from '../cluster/wire.ts'

export type WatchHandlers = {
  readonly onNodes: (nodes: ReadonlyMap<string, NodeMeta>) => void
  /** A failure that may pass. */
  readonly onTrouble: (error: ApiError) => void
}

/**
 * Follows nodes until `signal` aborts.
 *
 * @throws {ApiError} for what does not pass by itself: no credentials, no rights, a request that makes no sense
 */
export async function watchNodes(
  nodes: Nodes,
  { onNodes, onTrouble }: WatchHandlers,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController()
  let reason: ApiError | undefined
  const onError = (error: ApiError) => {
    const isLasting = error.failure === 'credentials' || [400, 401, 403].includes(error.status ?? 0)
    if (!isLasting) return onTrouble(error)
    reason = error
    failed.abort()
  }
  await nodes.watch({ onNodes, onError }, AbortSignal.any([signal, failed.signal]))
  if (reason !== undefined) throw reason
}
