import type { ApiError } from '../cluster/api-error.ts'
import { realClock } from '../cluster/clock.ts'
import type { Clock } from '../cluster/clock.ts'
import type { Nodes } from '../cluster/list-nodes.ts'
import type { NodeMeta } from '../cluster/wire.ts'

export type WatchHandlers = {
  readonly onNodes: (nodes: ReadonlyMap<string, NodeMeta>) => void
  /** A failure that may pass. */
  readonly onTrouble: (error: ApiError) => void
}

/** A watch that has gone on for so long was admitted. */
const admittedMs = 10_000

/**
 * Who was admitted before is refused for a moment by an API server that is just starting, as it does not know all rights
 * yet, or when a program that logs in fails once.
 */
const graceMs = 60_000
const pauseMs = 5_000

/**
 * Follows nodes until `signal` aborts.
 *
 * @throws {ApiError} for what does not pass by itself: no credentials, no rights, a request that makes no sense
 */
export async function watchNodes(
  nodes: Nodes,
  { onNodes, onTrouble }: WatchHandlers,
  signal: AbortSignal,
  clock: Pick<Clock, 'now' | 'wait'> = realClock,
): Promise<void> {
  let bearsUntil = -Infinity
  while (!signal.aborted) {
    const startedAt = clock.now()
    const refusal = await watchUntilRefused(nodes, { onNodes, onTrouble }, signal)
    if (refusal === undefined) return
    const now = clock.now()
    if (now - startedAt >= admittedMs) bearsUntil = now + graceMs
    if (now >= bearsUntil) throw refusal
    onTrouble(refusal)
    await clock.wait(pauseMs, signal)
  }
}

async function watchUntilRefused(
  nodes: Nodes,
  { onNodes, onTrouble }: WatchHandlers,
  signal: AbortSignal,
): Promise<ApiError | undefined> {
  const failed = new AbortController()
  let refusal: ApiError | undefined
  const onError = (error: ApiError) => {
    const isLasting = error.failure === 'credentials' || [400, 401, 403].includes(error.status ?? 0)
    if (!isLasting) return onTrouble(error)
    refusal = error
    failed.abort()
  }
  await nodes.watch({ onNodes, onError }, AbortSignal.any([signal, failed.signal]))
  return refusal
}
