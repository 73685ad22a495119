import type { GetAccess } from './access.ts'
import { connectClient } from './api-client.ts'
import type { ApiError } from './api-error.ts'
import { realClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { listPages } from './list-pages.ts'
import { listAndWatch } from './list-watch.ts'
import type { ApiRequest } from './send.ts'
import { parseNode } from './wire.ts'
import type { NodeMeta } from './wire.ts'

/** The Nodes of a cluster, for people: an agent must never follow them all. Only their metadata are read. */
export type Nodes = {
  /** By name. Fails at once. */
  readonly list: (signal?: AbortSignal) => Promise<readonly NodeMeta[]>
  /** Calls `onNodes` with all of them at the start and after each change, until `signal` aborts. */
  readonly watch: (handlers: NodesHandlers, signal: AbortSignal) => Promise<void>
}

export type NodesHandlers = {
  readonly onNodes: (nodes: ReadonlyMap<string, NodeMeta>) => void
  /** A failure that may pass: the watch goes on. Reported once until its kind changes. */
  readonly onError: (error: ApiError) => void
}

export type NodesOptions = {
  readonly getAccess: GetAccess
  /** As kubectl takes it: `pool=web,zone in (a, b)`. */
  readonly labelSelector?: string | undefined
  /** Only this one. */
  readonly name?: string | undefined
  readonly clock?: Clock
}

const pageSize = 500
/** A page may hold megabytes and the way to the server may be long. */
const timeoutMs = 30_000

export function connectNodes({ getAccess, labelSelector, name, clock = realClock }: NodesOptions): Nodes {
  const client = connectClient({ getAccess, timeoutMs })
  const query = {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
  }
  const request: ApiRequest = {
    method: 'GET',
    verb: 'LIST',
    path: '/api/v1/nodes',
    query,
    accept: accept.list,
  }
  const parse = (item: unknown) => parseNode(item, request)
  return {
    async list(signal) {
      const { items } = await listPages(client, request, pageSize, signal)
      return items.map(parse).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
    async watch({ onNodes, onError }, signal) {
      let nodes = new Map<string, NodeMeta>()
      const followed = {
        path: request.path,
        query,
        accept,
        pageSize,
        onList(items: readonly unknown[]) {
          nodes = new Map(items.map(parse).map((node) => [node.name, node]))
          onNodes(nodes)
        },
        onEvent(type: string, object: unknown) {
          const node = parse(object)
          if (type === 'DELETED') nodes.delete(node.name)
          else nodes.set(node.name, node)
          onNodes(nodes)
        },
        onError,
      }
      await listAndWatch(client, followed, clock, signal)
    },
  }
}

const accept = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
}
