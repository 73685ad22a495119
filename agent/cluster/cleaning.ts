import * as z from 'zod'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'

/** How far the nodes are with removing what is ours. */
export type Cleaning = { readonly isDone: boolean; readonly message: string }

/** The container that `manifests/uninstall` lets run to its end in every pod before the pod is ready. */
const cleaner = 'clean'

/**
 * Reads from the DaemonSet whether its pods have cleaned every node it wants to be on; of nodes that are not done, the
 * names.
 *
 * @throws {ApiError} when the API server cannot be asked
 */
export async function readCleaning(
  client: Pick<ApiClient, 'json'>,
  namespace: string,
  signal?: AbortSignal,
): Promise<Cleaning> {
  const daemonSet = await readDaemonSet(client, namespace, signal)
  if (daemonSet === undefined) return { isDone: false, message: 'waiting for the DaemonSet to be there' }
  const { metadata, spec, status } = daemonSet
  const isCleaner = spec.template.spec.initContainers.some(({ name }) => name === cleaner)
  // Objects of one `kubectl apply` come in any order, and their controller later.
  if (!isCleaner) return { isDone: false, message: 'waiting for the DaemonSet to be the one that cleans' }
  if (status.observedGeneration < metadata.generation)
    return { isDone: false, message: 'waiting for the DaemonSet to be noticed by its controller' }
  const { desiredNumberScheduled: wanted, updatedNumberScheduled: updated, numberReady: ready } = status
  if (Math.min(updated, ready) >= wanted)
    return { isDone: true, message: `${wanted} of ${wanted} nodes are clean` }
  const left = await readUnready(client, namespace, signal)
  const names = left.length > 8 ? [...left.slice(0, 8), '...'] : left
  const waiting = names.length > 0 ? `; waiting for ${names.join(', ')}` : ''
  return { isDone: false, message: `${Math.min(updated, ready)} of ${wanted} nodes are clean${waiting}` }
}

const count = z.number().default(0)
const daemonSetShape = z.object({
  metadata: z.object({ generation: count }),
  spec: z.object({
    template: z.object({
      spec: z.object({ initContainers: z.array(z.object({ name: z.string() })).default([]) }),
    }),
  }),
  status: z
    .object({
      observedGeneration: count,
      desiredNumberScheduled: count,
      updatedNumberScheduled: count,
      numberReady: count,
    })
    .default({
      observedGeneration: 0,
      desiredNumberScheduled: 0,
      updatedNumberScheduled: 0,
      numberReady: 0,
    }),
})

async function readDaemonSet(client: Pick<ApiClient, 'json'>, namespace: string, signal?: AbortSignal) {
  const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/node-firewall`
  const request: ApiRequest = { method: 'GET', path }
  try {
    return parse(daemonSetShape, await client.json(request, signal), request)
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}

const podsShape = z.object({
  items: z.array(
    z.object({
      spec: z.object({ nodeName: z.string().optional() }),
      status: z
        .object({
          conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
        })
        .default({ conditions: [] }),
    }),
  ),
})

/** Names of nodes whose pod has not cleaned, or says nothing more. */
async function readUnready(
  client: Pick<ApiClient, 'json'>,
  namespace: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const query = { labelSelector: 'app.kubernetes.io/name=node-firewall' }
  const request: ApiRequest = { method: 'GET', verb: 'LIST', path, query }
  const { items } = parse(podsShape, await client.json(request, signal), request)
  const unready = items.filter(
    ({ status }) => !status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
  )
  return unready.flatMap(({ spec }) => spec.nodeName ?? []).toSorted()
}

function parse<T>(shape: z.ZodType<T>, answer: unknown, request: ApiRequest): T {
  const { data } = shape.safeParse(answer)
  if (data === undefined)
    throw new ApiError(describe(request), 'body', 'the answer is not what was asked for')
  return data
}
