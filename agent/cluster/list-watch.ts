import type { ApiClient } from './api-client.ts'
import { ApiError, answerError } from './api-error.ts'
import { backoffMs } from '../backoff.ts'
import type { Clock } from './clock.ts'
import { listPages } from './list-pages.ts'
import type { Listed } from './list-pages.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'
import { parseEvent, parseList } from './wire.ts'

/** A collection to follow, and what to do with what is seen of it. */
export type Followed = {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly accept: { readonly list: string; readonly watch: string }
  /** The most objects of an answer to a LIST; absent: all in one. */
  readonly pageSize?: number
  /** What takes the place of the LIST, where that needs a right which a narrower request does not. */
  readonly list?: (signal: AbortSignal) => Promise<Listed>
  /** The whole collection: at the start, and whenever the thread was lost. */
  readonly onList: (items: readonly unknown[]) => void
  readonly onEvent: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: unknown) => void
  /** An attempt that came to nothing, once per change of kind; a watch that worked and was cut is none. */
  readonly onError: (error: ApiError) => void
}

/**
 * LIST, or what takes its place, then WATCH from there, for ever. A watch that ends or is cut goes on from the last
 * version seen; one that the server cannot resume (410) starts over with a LIST. Between any two attempts lies a wait
 * with jitter, which grows while nothing works, and is longer after a watch that was cut before its time: an API server
 * that is restarted cuts those of all nodes at once. Returns when `signal` aborts.
 */
export async function listAndWatch(client: ApiClient, followed: Followed, clock: Clock, signal: AbortSignal) {
  let version: string | undefined
  let failures = 0
  let reported: string | undefined
  while (!signal.aborted) {
    const end = await listOrResume(client, followed, clock, version, signal)
    if (signal.aborted) return
    version = end.version
    failures = end.healthy ? 0 : failures + 1
    if (end.healthy) reported = undefined
    else if (end.error !== undefined && end.error.kind !== reported) {
      reported = end.error.kind
      followed.onError(end.error)
    }
    const { retryAfterSeconds } = end.error ?? {}
    const spreadMs = end.healthy && end.early === true ? clock.random() * cutSpreadMs : 0
    await clock.wait(backoffMs(failures, clock.random(), { retryAfterSeconds }) + spreadMs, signal)
  }
}

/**
 * How an attempt ended: where to go on from (nowhere: LIST), whether it was worth something, why, and whether it was
 * a watch that should have gone on for longer.
 */
type End = { version: string | undefined; healthy: boolean; error?: ApiError; early?: boolean }

/** Over so long the watches of all nodes come back: 5,000 nodes have 10,000, so 1,000 of them a second. */
const cutSpreadMs = 10_000

/** A server may end a watch a moment before it was asked to. */
const earlyMs = 5_000

/** A watch from this version begins with what the server has in memory, whatever that is. */
export const fromMemory = '0'

/** A watch that was cut after this long counts as healthy, though nothing happened in it. */
const HEALTHY_AFTER_MS = 10_000

async function listOrResume(
  client: ApiClient,
  followed: Followed,
  clock: Clock,
  from: string | undefined,
  signal: AbortSignal,
): Promise<End> {
  let version = from
  let heard = false
  let started = clock.now()
  const lastsMs = Math.round(300 * (1 + clock.random())) * 1000
  const early = () => clock.now() - started < lastsMs - earlyMs
  const healthy = (error?: ApiError) =>
    heard || (error?.failure !== 'timeout' && clock.now() - started >= HEALTHY_AFTER_MS)
  try {
    if (version === undefined) {
      version = await list(client, followed, signal)
      started = clock.now()
    }
    const request = watchRequest(followed, version, lastsMs)
    for await (const line of client.lines(request, signal)) {
      const event = parseEvent(line, request)
      if (event.type === 'ERROR')
        throw answerError(describe(request), event.code, JSON.stringify(event.status))
      // What such a watch begins with was read just before, and proves nothing.
      const isInitial = version === fromMemory || (event.type === 'BOOKMARK' && event.endsInitial)
      heard ||= !isInitial
      version = event.version
      if (event.type !== 'BOOKMARK') followed.onEvent(event.type, event.object)
    }
    return { version: heard ? version : undefined, healthy: healthy(), early: early() }
  } catch (error) {
    if (signal.aborted) return { version, healthy: true }
    // Whatever is no ApiError is a bug, here or in a handler, and must not be retried in silence.
    if (!(error instanceof ApiError)) throw error
    if (error.status === 410) return { version: undefined, healthy: false }
    if (error.failure === 'silence') return afterSilence(heard, version)
    const resumable = error.failure !== 'timeout'
    return { version: resumable ? version : undefined, healthy: healthy(error), error, early: early() }
  }
}

/**
 * As a rule a watch that says nothing, not even a bookmark, means that nothing happened: where etcd tells its progress
 * seldom, a server has no bookmark for a kind of objects of which none has changed since the LIST. But it may also wait
 * for a version that never comes: etcd was restored from a backup and the server's counter lies behind ours. Only a LIST
 * brings that to light. It is no failure by itself: if there is one, what comes next will fail, too.
 */
function afterSilence(heard: boolean, version: string | undefined): End {
  return { version: heard ? version : undefined, healthy: true }
}

async function list(client: ApiClient, followed: Followed, signal: AbortSignal): Promise<string> {
  const { items, version } = await (followed.list?.(signal) ?? listAll(client, followed, signal))
  followed.onList(items)
  return version
}

async function listAll(
  client: ApiClient,
  { path, query, accept, pageSize }: Followed,
  signal: AbortSignal,
): Promise<Listed> {
  const request: ApiRequest = { method: 'GET', verb: 'LIST', path, query, accept: accept.list }
  if (pageSize !== undefined) return await listPages(client, request, pageSize, signal)
  return parseList(await client.json(request, signal), request)
}

/** The server ends the watch after 5 to 10 minutes, so that watches spread over its replicas again. */
function watchRequest({ path, query, accept }: Followed, version: string, lastsMs: number): ApiRequest {
  const watch = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: version,
    timeoutSeconds: String(lastsMs / 1000),
  }
  return { method: 'GET', verb: 'WATCH', path, query: { ...query, ...watch }, accept: accept.watch }
}
