import * as z from 'zod'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'

export type LetGoOptions = {
  readonly namespace: string
  /** API paths of objects that are in no namespace, or in another one. */
  readonly with: readonly string[]
  readonly signal?: AbortSignal
}

/**
 * Deletes the namespace that this runs in, and with it objects that are not in it. Those become the namespace's
 * dependents first: the garbage collector deletes them when the namespace is gone, and with it the account that asks
 * for all this, whose rights are among them. Nobody has to be alive for that, and none of it happens while the
 * namespace is still there. What is gone already is none the worse for it.
 *
 * @throws {ApiError} when the API server cannot be asked, or refuses; then it can be done again
 */
export async function letGo(client: Pick<ApiClient, 'json'>, options: LetGoOptions): Promise<void> {
  const { namespace, signal } = options
  const path = `/api/v1/namespaces/${namespace}`
  const request: ApiRequest = { method: 'GET', path }
  const answer = await unless([404], client.json(request, signal))
  if (answer === undefined) return
  const { data } = namespaceShape.safeParse(answer)
  if (data === undefined) throw new ApiError(describe(request), 'body', 'the answer is no Namespace')
  const owner = { apiVersion: 'v1', kind: 'Namespace', name: namespace, uid: data.metadata.uid }
  for (const object of options.with) {
    await unless(
      [404],
      client.json(
        {
          method: 'PATCH',
          path: object,
          contentType: 'application/merge-patch+json',
          body: JSON.stringify({ metadata: { ownerReferences: [owner] } }),
        },
        signal,
      ),
    )
  }
  // 409: it is on its way already, or another one by now.
  await unless([404, 409], client.json(deletionOf(path, data.metadata.uid), signal))
}

const namespaceShape = z.object({ metadata: z.object({ uid: z.string() }) })

/** Only the namespace that was read: one that somebody has made anew meanwhile is theirs. */
function deletionOf(path: string, uid: string): ApiRequest {
  return {
    method: 'DELETE',
    path,
    contentType: 'application/json',
    body: JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid } }),
  }
}

/** Nothing, for an answer with one of these statuses. */
async function unless(statuses: readonly number[], answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ApiError && statuses.includes(error.status ?? 0)) return undefined
    throw error
  }
}
