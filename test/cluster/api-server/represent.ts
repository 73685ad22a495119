import { Refusal, failure } from './statuses.ts'
import { apiVersion } from './resources.ts'
import type { Resource } from './resources.ts'
import type { Stored } from './store.ts'

/** How the client wants to see objects. */
export type Representation = {
  object(object: Stored): Record<string, unknown>
  list(resource: Resource, items: Stored[], metadata: Record<string, unknown>): Record<string, unknown>
  bookmark(resource: Resource, metadata: Record<string, unknown>): Record<string, unknown>
}

/** Follows the first entry of `Accept` that can be served; 406 when there is none. */
export function negotiate(accept: string | undefined, isList: boolean): Representation {
  for (const entry of (accept ?? '*/*').split(',')) {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim())
    if (!['application/json', 'application/*', '*/*'].includes(type)) continue
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3)
    if (as === undefined) return whole
    // A list is not a PartialObjectMetadata, and an object is no list of them.
    if (as === (isList ? 'PartialObjectMetadataList' : 'PartialObjectMetadata')) return metadataOnly
  }
  const available = 'application/json, application/yaml, application/vnd.kubernetes.protobuf'
  const message = `406: Not Acceptable\n\nAvailable representations: ${available}`
  throw new Refusal(failure(406, 'NotAcceptable', message, {}))
}

/** Items of a typed list carry no kind and apiVersion. */
const whole: Representation = {
  object: (object) => object,
  list: (resource, items, metadata) => ({
    kind: `${resource.kind}List`,
    apiVersion: apiVersion(resource),
    metadata,
    items: items.map(({ kind: _kind, apiVersion: _apiVersion, ...item }) => item),
  }),
  bookmark: (resource, metadata) => ({
    kind: resource.kind,
    apiVersion: apiVersion(resource),
    metadata,
    ...resource.zero,
  }),
}

const metadataOnly: Representation = {
  object: ({ metadata }) => partial(metadata),
  list: (_resource, items, metadata) => ({
    kind: 'PartialObjectMetadataList',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    items: items.map((item) => partial(item.metadata)),
  }),
  bookmark: (_resource, metadata) => partial(metadata),
}

function partial(metadata: Record<string, unknown>): Record<string, unknown> {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
}
