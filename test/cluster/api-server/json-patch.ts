import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { isRecord } from './objects.ts'
import { Refusal, badRequest, failure } from './statuses.ts'

/** The document after a JSON patch (RFC 6902) of tests and removals; the fake knows no other operations. */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  const operations = patchShape.safeParse(patch).data
  if (operations === undefined)
    throw badRequest('error decoding patch: an operation that the fake does not know')
  const result = structuredClone(document)
  for (const operation of operations) {
    const keys = operation.path.slice(1).split('/').map(unescapeKey)
    const last = keys.pop() ?? ''
    const parent = keys.reduce(step, result)
    const value = step(parent, last)
    if (value === undefined) throw notApplicable()
    if (operation.op === 'test') {
      if (!isDeepStrictEqual(value, operation.value)) throw notApplicable()
    } else if (Array.isArray(parent)) parent.splice(Number(last), 1)
    else if (isRecord(parent)) delete parent[last]
  }
  return result
}

const patchShape = z.array(
  z.union([
    z.strictObject({ op: z.literal('test'), path: z.string().startsWith('/'), value: z.unknown() }),
    z.strictObject({ op: z.literal('remove'), path: z.string().startsWith('/') }),
  ]),
)

function step(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return /^\d+$/.test(key) ? (value[Number(key)] as unknown) : undefined
  return isRecord(value) ? value[key] : undefined
}

function unescapeKey(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** A test that fails, and a path that leads nowhere, are one answer; it does not say why. */
function notApplicable(): Refusal {
  return new Refusal(
    failure(422, 'Invalid', 'the server rejected our request due to an error in our request', {}),
  )
}
