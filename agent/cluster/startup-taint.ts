import * as z from 'zod'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'

/** Nodes can join with it, so that pods come only when the rules are in force. */
export const startupTaint = 'node-firewall.io/not-ready'

/**
 * Removes our taint from a Node, whatever its effects, and no other; resolves to whether there was one. Nothing is
 * written when there is none.
 *
 * Taints have no merge key: a merge patch replaces the whole list, and with it what others add at the same moment, as
 * they do when a node has just joined. So each removal names its place in the list and tests it (RFC 6902); when the
 * list has changed meanwhile the server refuses with 422, and it is read anew.
 *
 * @throws {ApiError} when the API server cannot be asked, or refuses
 */
export async function removeStartupTaint(
  nodeName: string,
  client: Pick<ApiClient, 'json'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`
  for (let attempt = 1; ; attempt += 1) {
    const request: ApiRequest = { method: 'GET', path }
    const taints = parseTaints(await client.json(request, signal), request)
    const operations = removals(taints)
    if (operations.length === 0) return attempt > 1
    try {
      await client.json(
        {
          method: 'PATCH',
          path,
          query: { fieldManager: 'node-firewall' },
          contentType: 'application/json-patch+json',
          body: JSON.stringify(operations),
        },
        signal,
      )
      return true
    } catch (error) {
      if (!isOvertaken(error) || attempt === mostAttempts) throw error
    }
  }
}

/** Taints change a few times while a node becomes ready, not all the time. */
const mostAttempts = 5

type Taint = { readonly key: string; readonly effect: string }

/** From the last to the first, so that the places of those that come after do not change. */
function removals(taints: readonly Taint[]) {
  const own = taints.flatMap(({ key, effect }, index) =>
    key === startupTaint ? [{ path: `/spec/taints/${index}`, key, effect }] : [],
  )
  return own.toReversed().flatMap(({ path, key, effect }) => [
    { op: 'test', path: `${path}/key`, value: key },
    { op: 'test', path: `${path}/effect`, value: effect },
    { op: 'remove', path },
  ])
}

function isOvertaken(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 409 || error.status === 422)
}

const nodeShape = z.object({
  spec: z
    .object({ taints: z.array(z.object({ key: z.string(), effect: z.string() })).optional() })
    .optional(),
})

function parseTaints(answer: unknown, request: ApiRequest): readonly Taint[] {
  const { data } = nodeShape.safeParse(answer)
  if (data === undefined) throw new ApiError(describe(request), 'body', 'the answer is no Node')
  return data.spec?.taints ?? []
}
