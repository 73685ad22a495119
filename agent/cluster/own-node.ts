import { isDeepStrictEqual } from 'node:util'
import type { GetAccess } from './access.ts'
import { connectClient } from './api-client.ts'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { realClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { isNewerVersion } from './is-newer-version.ts'
import type { Listed } from './list-pages.ts'
import { fromMemory, listAndWatch } from './list-watch.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'
import { parseNode } from './wire.ts'
import type { NodeMeta } from './wire.ts'

export type { NodeMeta } from './wire.ts'

/** The agent's own Node: its metadata, and nothing else of it, is read and written. */
export type OwnNode = {
  /** One GET over a new connection: an answer proves that the API server can be reached. */
  readonly read: (signal?: AbortSignal) => Promise<NodeMeta>
  /** Calls `onNode` with each distinct state of labels and annotations, and with each new Node of the name, until `signal` aborts. */
  readonly watch: (handlers: NodeHandlers, signal: AbortSignal) => Promise<void>
  /** Sets annotations, and removes those that are null. Sends nothing when there is nothing to change. */
  readonly patchAnnotations: (
    changes: AnnotationChanges,
    signal?: AbortSignal,
  ) => Promise<NodeMeta | undefined>
}

export type NodeHandlers = {
  readonly onNode: (node: NodeMeta) => void
  /** A failure that may pass: the watch goes on. Reported once until its kind changes. */
  readonly onError: (error: ApiError) => void
}

export type AnnotationChanges = Readonly<Record<string, string | null>>

export type OwnNodeOptions = {
  readonly nodeName: string
  readonly getAccess: GetAccess
  readonly userAgent?: string
  /** For a whole answer, and for the head of a watch: 10 s. */
  readonly timeoutMs?: number
  /** For the silence in a watch, in which a bookmark comes every minute: 150 s. */
  readonly silenceMs?: number
  readonly clock?: Clock
}

export function connectOwnNode(options: OwnNodeOptions): OwnNode {
  const { nodeName } = options
  const client = connectClient(options)
  const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`

  return {
    async read(signal) {
      const request: ApiRequest = { method: 'GET', path, accept: METADATA }
      return parseNode(await client.json(request, signal), request)
    },

    async watch(handlers, signal) {
      const request: ApiRequest = { method: 'GET', path, accept: METADATA }
      let last: NodeMeta | 'gone' | undefined
      const see = (node: NodeMeta) => {
        if (!sameState(last, node)) handlers.onNode(node)
        last = node
      }
      const gone = () => {
        if (last !== 'gone') handlers.onError(notFound(request, nodeName))
        last = 'gone'
      }
      const followed = {
        path: '/api/v1/nodes',
        query: { fieldSelector: `metadata.name=${nodeName}` },
        accept: { list: METADATA, watch: METADATA },
        list: async (end: AbortSignal) => readOne(client, request, end),
        onList: ([found]: readonly unknown[]) =>
          found === undefined ? gone() : see(parseNode(found, request)),
        onEvent(type: string, object: unknown) {
          if (type === 'DELETED') return gone()
          const node = parseNode(object, request)
          // The server that is watched may lie behind the one that was read.
          if (typeof last === 'object' && isNewerVersion(last.resourceVersion, node.resourceVersion)) return
          see(node)
        },
        onError: (error: ApiError) => handlers.onError(error),
      }
      await listAndWatch(client, followed, options.clock ?? realClock, signal)
    },

    async patchAnnotations(changes, signal) {
      if (Object.keys(changes).length === 0) return undefined
      const request: ApiRequest = {
        method: 'PATCH',
        path,
        query: { fieldManager: 'node-firewall' },
        accept: METADATA,
        contentType: 'application/merge-patch+json',
        body: JSON.stringify({ metadata: { annotations: changes } }),
      }
      return parseNode(await client.json(request, signal), request)
    },
  }
}

/** The server sends metadata only, which spares both sides the images and conditions of the status. */
const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

/**
 * A list of one without the right to list Nodes. The version of an object may be too old to watch from, so the watch
 * begins with what the server that answers it has in memory.
 */
async function readOne(client: ApiClient, request: ApiRequest, signal: AbortSignal): Promise<Listed> {
  try {
    return { items: [await client.json(request, signal)], version: fromMemory }
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { items: [], version: fromMemory }
    throw error
  }
}

function sameState(last: NodeMeta | 'gone' | undefined, node: NodeMeta): boolean {
  if (last === undefined || last === 'gone') return false
  return isDeepStrictEqual(
    [last.uid, last.labels, last.annotations],
    [node.uid, node.labels, node.annotations],
  )
}

function notFound(request: ApiRequest, nodeName: string): ApiError {
  const details = { status: 404, reason: 'NotFound' }
  return new ApiError(describe(request), 'answer', `404 NotFound nodes "${nodeName}" not found`, details)
}
