import type { ApiError } from '../cluster/api-error.ts'
import { kubeconfigAccess, UnknownContextError } from '../cluster/kubeconfig.ts'
import { connectNodes } from '../cluster/list-nodes.ts'
import type { Nodes } from '../cluster/list-nodes.ts'
import { UsageError } from '../cli/usage-error.ts'
import type { Terminal } from './terminal.ts'

/** By which people say what nodes are meant. */
export type NodesFlags = {
  /** Labels, as kubectl takes them. */
  readonly selector?: string
  /** Of the kubeconfig. */
  readonly context?: string
}

/** What commands about nodes do outside of themselves. */
export type FleetEffects = {
  readonly signal: AbortSignal
  readonly nodes?: Nodes
  readonly terminal?: Terminal
  readonly now?: () => number
}

/** The nodes that are meant, or the one that is named, as the kubeconfig of the user finds them. */
export function chooseNodes({ selector, context }: NodesFlags, name?: string): Nodes {
  return connectNodes({ getAccess: kubeconfigAccess(undefined, context), labelSelector: selector, name })
}

/**
 * What the server, or the kubeconfig, says of the command line.
 *
 * @throws {UsageError} where the error is about that
 */
export function refuseIfMeant(error: ApiError): void {
  if (error.cause instanceof UnknownContextError) throw new UsageError(`--context: ${error.cause.message}`)
  if (error.status === 400) throw new UsageError(error.message)
}
