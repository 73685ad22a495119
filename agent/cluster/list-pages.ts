import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import type { ApiRequest } from './send.ts'
import { parseList } from './wire.ts'

export type Listed = { readonly items: readonly unknown[]; readonly version: string }

/**
 * A whole collection, at most `pageSize` objects an answer. Where the server has forgotten the state that the first
 * page showed (410), the collection is asked for anew in a single answer.
 */
export async function listPages(
  client: ApiClient,
  request: ApiRequest,
  pageSize: number,
  signal?: AbortSignal,
): Promise<Listed> {
  const items: unknown[] = []
  let next: string | undefined
  try {
    for (;;) {
      const query = { ...request.query, limit: String(pageSize), ...(next ? { continue: next } : {}) }
      const page = parseList(await client.json({ ...request, query }, signal), request)
      items.push(...page.items)
      next = page.next
      if (next === undefined) return { items, version: page.version }
    }
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 410 || next === undefined) throw error
    return parseList(await client.json(request, signal), request)
  }
}
