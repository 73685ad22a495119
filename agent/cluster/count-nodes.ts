import * as z from 'zod'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/** How many nodes the cluster has; undefined where that cannot be had. One of them is read, and the rest is counted. */
export async function countNodes(client: ApiClient, signal: AbortSignal): Promise<number | undefined> {
  const request: ApiRequest = {
    method: 'GET',
    verb: 'LIST',
    path: '/api/v1/nodes',
    query: { limit: '1' },
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  }
  try {
    const { metadata, items } = parse(countedList, await client.json(request, signal), request)
    return (items?.length ?? 0) + (metadata.remainingItemCount ?? 0)
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) return undefined
    throw error
  }
}

const countedList = z.object({
  metadata: z.object({ remainingItemCount: z.number().nullish() }),
  items: z.array(z.unknown()).nullable(),
})
