import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import type { Clock } from './clock.ts'
import { parseSlice, slicesPath, slicesQuery } from './endpoint-slice.ts'
import type { EndpointSlice, SlicesOf } from './endpoint-slice.ts'
import { repeat } from './repeat.ts'
import type { ApiRequest } from './send.ts'
import { parseList, parseNode } from './wire.ts'

export type PolledSlices = SlicesOf & {
  /** All slices, after each look at them. */
  readonly onSlices: (slices: readonly EndpointSlice[]) => void
  /** A look that came to nothing, once per change of kind. */
  readonly onError: (error: ApiError) => void
}

/**
 * Looks at the slices of a Service every 30 s, give or take a third, until `signal` aborts.
 *
 * A look costs the API server no more than names and versions, out of its cache. Of a few slices that have changed
 * each is read; after more than that, as in a rolling update, all of them at once, but not often. Why it is no watch:
 * docs/adr/0005-cluster-facts.md.
 */
export async function pollSlices(
  client: ApiClient,
  polled: PolledSlices,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const look = createLook(client, polled, clock)
  const attempt = async () => {
    polled.onSlices(await look(signal))
    return 20_000 + 20_000 * clock.random()
  }
  await repeat(attempt, { clock, onError: polled.onError }, signal)
}

/** So many changed slices are read one by one. */
const few = 4

/** A LIST of all slices comes this often at most, per slice in it: 300 s at 5,000 nodes with both families. */
const msPerSlice = 3000

function createLook(client: ApiClient, of: SlicesOf, clock: Clock) {
  let known: ReadonlyMap<string, EndpointSlice> = new Map()
  let readAllAt: number | undefined

  const readAll = async (signal: AbortSignal) => {
    readAllAt = clock.now()
    const request = listRequest(of)
    const { items } = parseList(await client.json(request, signal), request)
    return items.map((item) => parseSlice(item, request))
  }

  return async (signal: AbortSignal): Promise<readonly EndpointSlice[]> => {
    if (known.size === 0) {
      known = byName(await readAll(signal))
      return [...known.values()]
    }
    const names = await listNames(client, of, signal)
    const changed = names.filter(({ name, version }) => known.get(name)?.version !== version)
    const allAreDue = clock.now() - (readAllAt ?? 0) >= names.length * msPerSlice
    if (changed.length > few && allAreDue) {
      known = byName(await readAll(signal))
      return [...known.values()]
    }
    const news = changed.length > few ? [] : await readEach(client, of, changed, signal)
    // What is not listed any more is gone, and what was not read again is as it was.
    const all = new Map([...known, ...byName(news)])
    known = byName(names.flatMap(({ name }) => all.get(name) ?? []))
    return [...known.values()]
  }
}

type Named = { readonly name: string; readonly version: string }

async function listNames(client: ApiClient, of: SlicesOf, signal: AbortSignal): Promise<Named[]> {
  const request = { ...listRequest(of), accept: METADATA_LIST }
  const { items } = parseList(await client.json(request, signal), request)
  return items.map((item) => {
    const { name, resourceVersion } = parseNode(item, request)
    return { name, version: resourceVersion }
  })
}

async function readEach(client: ApiClient, of: SlicesOf, named: readonly Named[], signal: AbortSignal) {
  const read = await Promise.all(
    named.map(async ({ name }) => {
      const path = `${slicesPath(of)}/${encodeURIComponent(name)}`
      const request: ApiRequest = { method: 'GET', path, query: FROM_CACHE }
      return client.json(request, signal).then((value) => [parseSlice(value, request)], deletedMeanwhile)
    }),
  )
  return read.flat()
}

function deletedMeanwhile(error: unknown): [] {
  if (error instanceof ApiError && error.status === 404) return []
  throw error
}

function byName(slices: readonly EndpointSlice[]): ReadonlyMap<string, EndpointSlice> {
  return new Map(slices.map((slice) => [slice.name, slice]))
}

function listRequest(of: SlicesOf): ApiRequest {
  const query = { ...slicesQuery(of), ...FROM_CACHE }
  return { method: 'GET', verb: 'LIST', path: slicesPath(of), query }
}

/** Any version will do: the API server answers from its watch cache and asks nobody. */
const FROM_CACHE = { resourceVersion: '0' }

const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
