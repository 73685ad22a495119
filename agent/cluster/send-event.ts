import { randomBytes } from 'node:crypto'
import type { ApiClient } from './api-client.ts'
import { ApiError, shorten } from './api-error.ts'
import { keyOf } from './event-queue.ts'
import type { NodeEvent, Pending } from './event-queue.ts'
import type { ApiRequest } from './send.ts'

/** Who tells, and of which Node. */
export type EventSource = {
  readonly nodeName: string
  readonly nodeUid?: string | undefined
  readonly podName?: string | undefined
  readonly reportingController: string
}

/**
 * Sends events to the core/v1 API, which shows them better than events.k8s.io/v1 does: the latter leaves `lastTimestamp`
 * empty, and `kubectl get events --sort-by=.lastTimestamp` shows such an event as if it were the oldest.
 *
 * An event that is there already is not made again: its count is raised. One that was sent, and whose answer never
 * came, has its name on the server and is recognized by it (409), so it arrives once.
 */
export function createEventSender(client: ApiClient, source: EventSource) {
  const sent = new Map<string, Sent>()

  const create = async (pending: Pending, signal: AbortSignal) => {
    const key = keyOf(pending.event)
    const tried = sent.get(key) ?? { name: newName(source.nodeName), count: 0 }
    remember(sent, key, tried)
    const { times } = pending
    try {
      await client.json(createRequest(tried.name, pending, source), signal)
    } catch (error) {
      if (!hasStatus(error, 409)) throw error
      await client.json(raiseRequest(tried.name, times, pending.lastMs), signal)
    }
    remember(sent, key, { ...tried, count: times })
  }

  /** Rejects with an ApiError; the same event may then be handed in again, with more repetitions. */
  return async (pending: Pending, signal: AbortSignal): Promise<void> => {
    const key = keyOf(pending.event)
    const known = sent.get(key)
    if (known === undefined || known.count === 0) return await create(pending, signal)
    const count = known.count + pending.times
    try {
      await client.json(raiseRequest(known.name, count, pending.lastMs), signal)
      remember(sent, key, { ...known, count })
    } catch (error) {
      // The API server keeps an event for an hour.
      if (!hasStatus(error, 404)) throw error
      sent.delete(key)
      await create(pending, signal)
    }
  }
}

/** The object that stands for an event; `count` is 0 until it is known to be there. */
type Sent = { readonly name: string; readonly count: number }

/** An event that was not seen for so many others is a new one. */
const remembered = 64

function remember(sent: Map<string, Sent>, key: string, value: Sent): void {
  sent.delete(key)
  sent.set(key, value)
  const [oldest] = sent.keys()
  if (sent.size > remembered && oldest !== undefined) sent.delete(oldest)
}

function createRequest(name: string, pending: Pending, source: EventSource): ApiRequest {
  const { firstMs, lastMs, times, event } = pending
  const { nodeName, podName = nodeName, reportingController } = source
  const body = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: NAMESPACE },
    involvedObject: involvedNode(source),
    ...texts(event),
    source: { component: reportingController, host: nodeName },
    reportingComponent: reportingController,
    reportingInstance: podName,
    firstTimestamp: toTime(firstMs),
    lastTimestamp: toTime(lastMs),
    count: times,
  }
  const path = EVENTS
  return { method: 'POST', path, contentType: 'application/json', body: JSON.stringify(body) }
}

/** The kubelet gives the Node's name for its uid, and `kubectl describe node` looks for that. */
function involvedNode({ nodeName, nodeUid = nodeName }: EventSource) {
  return { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeUid }
}

function texts({ type, reason, message }: NodeEvent) {
  return { type, reason, message: shorten(message, 1000) }
}

function raiseRequest(name: string, count: number, lastMs: number): ApiRequest {
  const body = JSON.stringify({ count, lastTimestamp: toTime(lastMs) })
  const contentType = 'application/merge-patch+json'
  return { method: 'PATCH', path: `${EVENTS}/${name}`, contentType, body }
}

/** Events about objects that are in no namespace belong here; the API server admits them nowhere else. */
const NAMESPACE = 'default'
const EVENTS = `/api/v1/namespaces/${NAMESPACE}/events`

/** RFC 3339 without fractions, as core/v1 writes times. */
function toTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** A name may have 253 characters, and that of a Node may have as many. */
function newName(nodeName: string): string {
  const suffix = randomBytes(8).toString('hex')
  return nodeName.length + suffix.length < 253 ? `${nodeName}.${suffix}` : `node-firewall.${suffix}`
}

function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status
}
