import * as z from 'zod'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { slicesPath } from './endpoint-slice.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/**
 * How many nodes the cluster has, in hundreds, and twice as many where nodes have addresses of both families; undefined
 * where that cannot be had. It is read off the number of EndpointSlices in the agents' namespace, each of which holds up
 * to 100 of them: one is read, without a selector, and the server counts the rest. To list Nodes takes a right that the
 * agents do not have.
 */
export async function countNodes(
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const request: ApiRequest = {
    method: 'GET',
    verb: 'LIST',
    path: slicesPath({ namespace }),
    query: { limit: '1' },
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  }
  try {
    const { metadata, items } = parse(countedList, await client.json(request, signal), request)
    const slices = (items?.length ?? 0) + (metadata.remainingItemCount ?? 0)
    return slices === 0 ? undefined : slices * endpointsPerSlice
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) return undefined
    throw error
  }
}

/** The usual setting of the controller (--max-endpoints-per-slice). */
const endpointsPerSlice = 100

const countedList = z.object({
  metadata: z.object({ remainingItemCount: z.number().nullish() }),
  items: z.array(z.unknown()).nullable(),
})
