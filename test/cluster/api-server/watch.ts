import { badVersion, listOptions } from './list.ts'
import type { Representation } from './represent.ts'
import type { Resource } from './resources.ts'
import { parseSelectors } from './selectors.ts'
import { Refusal, expired, failure, invalid } from './statuses.ts'
import type { Change, Store, Stored } from './store.ts'

/** Where the lines of a watch go. */
export type Sink = { write(line: string): void; end(): void }

export type OpenWatch = {
  sendBookmark(): void
  /** Ends in order, as after `timeoutSeconds`. */
  end(): void
  /** Stops its timers and listens no more. */
  close(): void
}

export type WatchOptions = {
  readonly store: Store
  readonly resource: Resource
  readonly namespace: string | undefined
  readonly query: URLSearchParams
  readonly representation: Representation
  readonly bookmarkEveryMs: number
  readonly timer: StartTimer
}

/** Calls back after so many ms, until the function that it returns is called. */
export type StartTimer = (ms: number, callback: () => void) => () => void

/** Checks the options of a WATCH; `start` then sends what there is, and what comes. */
export function prepareWatch(options: WatchOptions): { start: (sink: Sink) => OpenWatch } {
  const { query } = options
  const matches = parseSelectors(query)
  const version = query.get('resourceVersion') ?? ''
  if (version !== '' && !/^\d+$/.test(version))
    throw new Refusal(failure(500, undefined, badVersion(version)))
  const initial = query.get('sendInitialEvents') === 'true'
  if (initial && query.get('resourceVersionMatch') !== 'NotOlderThan') {
    throw invalid(listOptions('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  }
  return { start: (sink) => startWatch(options, matches, version, initial, sink) }
}

function startWatch(
  { store, resource, namespace, query, representation, bookmarkEveryMs, timer }: WatchOptions,
  matches: (object: Stored) => boolean,
  version: string,
  initial: boolean,
  sink: Sink,
): OpenWatch {
  const send = (type: string, object: unknown) => sink.write(`${JSON.stringify({ type, object })}\n`)
  const seen = (object: Stored | undefined) =>
    object !== undefined &&
    (namespace === undefined || object.metadata.namespace === namespace) &&
    matches(object)
  const bookmark = (annotations?: Record<string, string>) => {
    const metadata = { resourceVersion: String(store.version()), ...(annotations ? { annotations } : {}) }
    send('BOOKMARK', representation.bookmark(resource, metadata))
  }
  const timers = new Set<() => void>()
  let from = Number(version)

  const show = (change: Change) => {
    if (change.resource !== resource || change.version <= from) return
    const type = typeFor(change, seen(change.before), seen(change.object))
    if (type !== undefined) send(type, representation.object(change.object))
  }
  const unsubscribe = store.onChange(show)
  const close = () => {
    unsubscribe()
    for (const cancel of timers) cancel()
  }
  const end = () => {
    close()
    sink.end()
  }
  const wantsBookmarks = query.get('allowWatchBookmarks') === 'true'
  const sendBookmark = () => {
    if (wantsBookmarks) bookmark()
  }

  if (initial || from === 0) {
    for (const object of store.list(resource, namespace).filter(seen))
      send('ADDED', representation.object(object))
    if (initial || wantsBookmarks) bookmark({ 'k8s.io/initial-events-end': 'true' })
    from = Math.max(from, store.version())
  } else {
    const missed = store.since(from)
    if (missed === undefined) {
      send('ERROR', expired(`too old resource version: ${version} (${store.floor()})`))
      end()
      return { sendBookmark, end, close }
    }
    for (const change of missed) show(change)
  }

  const keepMarking = () => {
    const cancel = timer(bookmarkEveryMs, () => {
      timers.delete(cancel)
      sendBookmark()
      keepMarking()
    })
    timers.add(cancel)
  }
  keepMarking()
  const seconds = Number(query.get('timeoutSeconds') ?? '0')
  if (seconds > 0) timers.add(timer(seconds * 1000, end))
  // Twice shortly before the end, so that the client can go on from there.
  for (const before of [2.6, 1.4]) {
    if (seconds > before) timers.add(timer((seconds - before) * 1000, sendBookmark))
  }
  return { sendBookmark, end, close }
}

/** An object that starts to match a selector is added to those who use it, one that stops is deleted. */
function typeFor(change: Change, before: boolean, after: boolean): Change['type'] | undefined {
  if (change.type === 'DELETED') return after ? 'DELETED' : undefined
  if (before && after) return 'MODIFIED'
  if (after) return 'ADDED'
  return before ? 'DELETED' : undefined
}
