import { applyJsonPatch } from './json-patch.ts'
import type { Resource } from './resources.ts'
import { Refusal, badRequest, conflict, failure, invalid } from './statuses.ts'
import type { Stored } from './store.ts'
import { isRecord, readObject } from './objects.ts'
import { validateMetadata } from './validate.ts'

/**
 * The object after a JSON patch, a merge patch (RFC 7396) or a strategic merge patch. The latter two differ in lists and
 * directives, which the fake does not know: it takes both for the former.
 */
export function patchObject(resource: Resource, before: Stored, contentType: string, body: string): Stored {
  const merged = patched(before, contentType, decode(body))
  const after = readObject(merged)
  if (after === undefined) throw wrongType(merged)
  const { name, uid, resourceVersion } = before.metadata
  if (after.metadata.resourceVersion !== resourceVersion) throw conflict(resource, name)
  if (after.metadata.uid !== uid) {
    const cause = {
      reason: 'FieldValueInvalid',
      message: `Invalid value: "${after.metadata.uid}": field is immutable`,
      field: 'metadata.uid',
    }
    throw invalid({ name, kind: resource.kind, causes: [cause, cause] })
  }
  validateMetadata(resource, after)
  return after
}

function patched(before: Stored, contentType: string, patch: unknown): unknown {
  if (contentType === 'application/json-patch+json') return applyJsonPatch(before, patch)
  if (MERGE_PATCHES.has(contentType)) return merge(before, patch)
  throw new Refusal(failure(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {}))
}

const MERGE_PATCHES = new Set(['application/merge-patch+json', 'application/strategic-merge-patch+json'])

function decode(body: string): unknown {
  try {
    return JSON.parse(body, (_, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value))
  } catch {
    throw badRequest('error decoding patch: unexpected end of JSON input')
  }
}

function merge(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merge(result[key], value)
  }
  return result
}

/** A value of the wrong type: the message holds the whole object. */
function wrongType(merged: unknown): Refusal {
  const why =
    `Invalid value: ${JSON.stringify(JSON.stringify(merged))}: json: cannot unmarshal number into Go struct ` +
    'field ObjectMeta.metadata.annotations of type string'
  return invalid({ causes: [{ reason: 'FieldValueInvalid', message: why, field: 'patch' }] })
}
