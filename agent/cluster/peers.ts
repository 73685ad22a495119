import type { Peer, PeerNode } from '../rollout/peer.ts'
import { connectClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { realClock } from './clock.ts'
import { parseSlice, slicesPath, slicesQuery } from './endpoint-slice.ts'
import type { EndpointSlice, SlicesOf } from './endpoint-slice.ts'
import { createLingering } from './lingering.ts'
import type { OwnNodeOptions } from './own-node.ts'
import { pollSlices } from './poll-slices.ts'
import type { ApiRequest } from './send.ts'
import { parseList, parseNode } from './wire.ts'

/** The nodes that run an agent, and what their Nodes say. */
export type Peers = {
  /** Follows which nodes there are, until `signal` aborts; never rejects for what may pass. */
  readonly watch: (onError: (error: ApiError) => void, signal: AbortSignal) => Promise<void>
  /** The same array until something is different; undefined until it was ever read. */
  readonly known: () => readonly Peer[] | undefined
  /** One LIST that is no older than the call. */
  readonly list: (signal: AbortSignal) => Promise<readonly Peer[]>
  /** One GET of a Node's metadata; `cached` may be answered from the API server's cache. */
  readonly read: (name: string, how: 'cached' | 'latest', signal: AbortSignal) => Promise<PeerNode | 'gone'>
}

export type PeersOptions = OwnNodeOptions & {
  readonly namespace: string
  readonly serviceName?: string
  /** How long a name stays, as not ready, after it has vanished, in ms: 10 minutes. */
  readonly keepMs?: number
}

/**
 * Reads peers from the EndpointSlices of the agents' own Service, as `nodes` are (docs/adr/0005-cluster-facts.md), and
 * from their Nodes, one by one. A pod that is replaced is in no slice for a moment, so its node stays for a while.
 */
export function connectPeers(options: PeersOptions): Peers {
  const { namespace, serviceName = 'node-firewall', keepMs = 600_000, clock = realClock } = options
  const client = connectClient(options)
  const of: SlicesOf = { namespace, serviceName }
  const names = createLingering((name: string) => name, keepMs)
  let known: readonly Peer[] | undefined

  const learn = (slices: readonly EndpointSlice[]) => {
    const ready = readinessOf(slices)
    // Nobody at all is a Service that is broken, or not filled yet.
    if (ready.size === 0) return
    names.replace([...ready.keys()], clock.now())
    const next = (names.values() ?? []).map((name) => ({ name, ready: ready.get(name) ?? false }))
    if (!areSame(known ?? [], next)) known = next
  }

  return {
    known: () => known,
    async watch(onError, signal) {
      await pollSlices(client, { ...of, onSlices: learn, onError }, clock, signal)
    },
    async list(signal) {
      // Without a version the answer is as new as the store.
      const request: ApiRequest = {
        method: 'GET',
        verb: 'LIST',
        path: slicesPath(of),
        query: slicesQuery(of),
      }
      const { items } = parseList(await client.json(request, signal), request)
      const ready = readinessOf(items.map((item) => parseSlice(item, request)))
      return [...ready].map(([name, isReady]) => ({ name, ready: isReady }))
    },
    async read(name, how, signal) {
      const request: ApiRequest = {
        method: 'GET',
        path: `/api/v1/nodes/${encodeURIComponent(name)}`,
        query: how === 'cached' ? { resourceVersion: '0' } : {},
        accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
      }
      try {
        return parseNode(await client.json(request, signal), request)
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return 'gone'
        throw error
      }
    },
  }
}

/** A node is in the slices of both families; while its pod is replaced two pods may be on it. One that is ready will do. */
function readinessOf(slices: readonly EndpointSlice[]): ReadonlyMap<string, boolean> {
  const ready = new Map<string, boolean>()
  for (const { name, serving } of slices.flatMap(({ nodes }) => nodes)) {
    ready.set(name, serving || (ready.get(name) ?? false))
  }
  return ready
}

function areSame(last: readonly Peer[], next: readonly Peer[]): boolean {
  return (
    last.length === next.length &&
    next.every(({ name, ready }, index) => name === last[index]?.name && ready === last[index].ready)
  )
}
