import type { ApiClient } from './api-client.ts'
import type { ApiError } from './api-error.ts'
import type { Clock } from './clock.ts'
import { parseSlice, slicesPath, slicesQuery } from './endpoint-slice.ts'
import type { EndpointSlice, SlicesOf } from './endpoint-slice.ts'
import { listAndWatch } from './list-watch.ts'
import type { ApiRequest } from './send.ts'

export type WatchedSlices = SlicesOf & {
  /** All slices, after each change of one. */
  readonly onSlices: (slices: readonly EndpointSlice[]) => void
  readonly onError: (error: ApiError) => void
}

/** Follows the slices of a Service that changes seldom, as that of the API servers, until `signal` aborts. */
export async function watchSlices(
  client: ApiClient,
  watched: WatchedSlices,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const path = slicesPath(watched)
  const request: ApiRequest = { method: 'GET', verb: 'LIST', path }
  let slices = new Map<string, EndpointSlice>()
  const followed = {
    path,
    query: slicesQuery(watched),
    accept: { list: 'application/json', watch: 'application/json' },
    onList(items: readonly unknown[]) {
      slices = new Map(items.map((item) => parseSlice(item, request)).map((slice) => [slice.name, slice]))
      watched.onSlices([...slices.values()])
    },
    onEvent(type: string, object: unknown) {
      const slice = parseSlice(object, request)
      if (type === 'DELETED') slices.delete(slice.name)
      else slices.set(slice.name, slice)
      watched.onSlices([...slices.values()])
    },
    onError: watched.onError,
  }
  await listAndWatch(client, followed, clock, signal)
}
