import * as z from 'zod'
import { ApiError, shorten } from './api-error.ts'
import { describe } from './send.ts'
import type { ApiRequest } from './send.ts'

/** What the agent wants to know of its Node. */
export type NodeMeta = {
  readonly name: string
  /** Another one for each object of that name. */
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly resourceVersion: string
}

export type WatchEvent =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; version: string; object: unknown }
  /** `endsInitial`: all before it was what there is, and no change; servers say so from Kubernetes 1.34 on. */
  | { type: 'BOOKMARK'; version: string; endsInitial: boolean }
  | { type: 'ERROR'; code: number; status: unknown }

/** Name, labels and annotations of an object of any kind. */
export function parseNode(value: unknown, request: ApiRequest): NodeMeta {
  const { metadata } = parse(namedObject, value, request)
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    resourceVersion: metadata.resourceVersion,
  }
}

/** The items of a List, the version to watch from, and what to ask for the next page with, if there is one. */
export function parseList(
  value: unknown,
  request: ApiRequest,
): { items: unknown[]; version: string; next: string | undefined } {
  const { metadata, items } = parse(listBody, value, request)
  // A server says "" where there is no more.
  return { items: items ?? [], version: metadata.resourceVersion, next: metadata.continue || undefined }
}

/** One line of a watch. */
export function parseEvent(value: unknown, request: ApiRequest): WatchEvent {
  const { type, object } = parse(watchLine, value, request)
  if (type === 'ERROR') return { type, code: parse(statusCode, object, request).code ?? 500, status: object }
  const { resourceVersion: version, annotations } = parse(versioned, object, request).metadata
  if (type !== 'BOOKMARK') return { type, version, object }
  return { type, version, endsInitial: annotations?.['k8s.io/initial-events-end'] === 'true' }
}

const versioned = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
})

const namedObject = z.object({
  metadata: z.object({
    name: z.string(),
    uid: z.string().nullish(),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
})

const listBody = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()).nullable(),
})

const watchLine = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
})

const statusCode = z.object({ code: z.number().optional() })

/**
 * The part of an answer that `schema` describes.
 *
 * @throws {ApiError} when the answer is of another shape
 */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  request: ApiRequest,
): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const why = `the answer is not what was asked for: ${shorten(z.prettifyError(result.error), 200)}`
  throw new ApiError(describe(request), 'body', why, { cause: result.error })
}
