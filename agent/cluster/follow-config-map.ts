import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { createBell } from './bell.ts'
import type { Clock } from './clock.ts'
import { parseConfigMap, sizeOf, spreadMs } from './config-map.ts'
import type { ConfigMap } from './config-map.ts'
import { isNewerVersion } from './is-newer-version.ts'
import { listAndWatch } from './list-watch.ts'
import { repeat } from './repeat.ts'
import type { ApiRequest } from './send.ts'
import { parseList, parseNode } from './wire.ts'

export type ConfigMapHandlers = {
  readonly onRead: (read: ReadConfigMap) => void
  /** A look, or a read of what the watch told of, came to nothing; each time. */
  readonly onMiss: () => void
  /** Any attempt that came to nothing, once per change of kind. */
  readonly onError: (error: ApiError) => void
}

export type ReadConfigMap = {
  readonly map: ConfigMap
  /** It is the version that was read before. */
  readonly isKnown: boolean
  /** Nothing came between the version read before and this one. */
  readonly follows: boolean
  /** It is at least as new as whatever was written before this moment of the clock; 0: that is not known. */
  readonly asOf: number
}

export type ConfigMapFollower = {
  /** Until `signal` aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>
  /** Asks for the newest version, at once, and until there is an answer. */
  readonly look: () => void
}

export type Named = { readonly namespace: string; readonly name: string }

/**
 * Follows one ConfigMap by name. The watch brings metadata only; what it tells of is then read. All nodes are told at
 * once, so the more of them and the larger the ConfigMap, the more the reads are spread: docs/adr/0011-configmap-watch.md.
 */
export function createConfigMapFollower(
  client: ApiClient,
  { namespace, name }: Named,
  { onRead, onMiss, onError }: ConfigMapHandlers,
  { clock, nodes }: { readonly clock: Clock; readonly nodes: () => number },
): ConfigMapFollower {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`
  const query = { fieldSelector: `metadata.name=${name}` }
  const listRequest: ApiRequest = { method: 'GET', verb: 'LIST', path, query, accept: METADATA_LIST }
  let known: ConfigMap | undefined
  let knownSince = 0
  /** What is to be read. */
  let told: Told | undefined
  /** How many changes were told of since the last read; a LIST that may have missed some counts as more than one. */
  let changes = 0
  let isLookDue = false
  let hurrying = new AbortController()
  const work = createBell()

  const learnFromList = (items: readonly unknown[], asOf: number) => {
    const version = items.length === 0 ? undefined : parseNode(items[0], listRequest).resourceVersion
    // What the watch has told of already is no further change.
    if (version === undefined || version !== told?.version) changes += several
    told = { version: version ?? '0', isMissing: version === undefined, asOf }
    work.ring()
  }
  const learnFromEvent = (type: string, object: unknown) => {
    const { resourceVersion: version } = parseNode(object, listRequest)
    const latest = told?.version ?? known?.version
    // The server that is watched may lie behind the one that was read.
    if (latest !== undefined && !isNewerVersion(version, latest)) return
    told = { version, isMissing: type === 'DELETED', asOf: told?.asOf ?? 0 }
    changes += 1
    work.ring()
  }
  const look = async (signal: AbortSignal) => {
    const startedAt = clock.now()
    const { items } = parseList(await client.json(listRequest, signal), listRequest)
    isLookDue = false
    learnFromList(items, startedAt)
  }
  const readTold = async (signal: AbortSignal) => {
    const taken = told
    if (taken === undefined) return
    const isKnown = taken.version === known?.version
    if (!isKnown && taken.asOf > 0 && taken.asOf < knownSince) {
      // What was read since may be newer than this list.
      told = undefined
      isLookDue = true
      work.ring()
      return
    }
    const counted = changes
    const map = known !== undefined && isKnown ? known : await readVersion(taken, signal)
    const follows = isKnown || (counted === 1 && map.version === taken.version)
    known = map
    knownSince = clock.now()
    changes -= counted
    const isSeen = told !== undefined && told.asOf === 0 && !isNewerVersion(told.version, map.version)
    if (told === taken || isSeen) told = undefined
    onRead({ map, isKnown, follows, asOf: taken.asOf })
  }
  const readVersion = async ({ version, isMissing }: Told, signal: AbortSignal): Promise<ConfigMap> => {
    if (isMissing) return { version, keys: undefined }
    // At least as new as that, from the memory of whichever server answers.
    const request: ApiRequest = {
      method: 'GET',
      path: `${path}/${encodeURIComponent(name)}`,
      query: { resourceVersion: version },
    }
    try {
      return parseConfigMap(await client.json(request, signal), request)
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return { version, keys: undefined }
      throw error
    }
  }
  const spread = async (signal: AbortSignal) => {
    if (isLookDue || known === undefined || told === undefined || told.isMissing) return
    const ms = spreadMs(sizeOf(known), nodes()) * clock.random()
    if (ms > 0) await clock.wait(ms, AbortSignal.any([signal, hurrying.signal]))
  }
  const attempt = async (signal: AbortSignal) => {
    await work.rung()
    await spread(signal)
    if (signal.aborted) return undefined
    try {
      if (isLookDue) await look(signal)
      await readTold(signal)
    } catch (error) {
      work.ring()
      if (!signal.aborted) onMiss()
      throw error
    }
    return 0
  }

  return {
    look() {
      isLookDue = true
      hurrying.abort()
      hurrying = new AbortController()
      work.ring()
    },
    async run(signal) {
      signal.addEventListener('abort', work.ring, { once: true })
      let listedAt = 0
      const timed: ApiClient = {
        ...client,
        async json(request, end) {
          listedAt = clock.now()
          return client.json(request, end)
        },
      }
      const followed = {
        path,
        query,
        accept: { list: METADATA_LIST, watch: METADATA },
        onList: (items: readonly unknown[]) => learnFromList(items, listedAt),
        onEvent: learnFromEvent,
        onError,
      }
      await Promise.all([
        listAndWatch(timed, followed, clock, signal),
        repeat(attempt, { clock, onError }, signal),
      ])
    },
  }
}

type Told = { readonly version: string; readonly isMissing: boolean; readonly asOf: number }

const several = 2

const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
