import { z } from 'zod'
import type { Representation } from './represent.ts'
import type { Resource } from './resources.ts'
import { parseSelectors } from './selectors.ts'
import { Refusal, badRequest, expired, invalid } from './statuses.ts'
import type { Store } from './store.ts'

/** The answer to a LIST. Its version is the counter, not that of the newest item. */
export function listObjects(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
  representation: Representation,
): Record<string, unknown> {
  const matches = parseSelectors(query)
  const version = query.get('resourceVersion') ?? ''
  checkVersion(store, version, query.get('resourceVersionMatch'))
  const from = readContinue(store, query.get('continue'), version)
  const limit = version === '0' ? Infinity : Number(query.get('limit') ?? '0') || Infinity

  const found = store
    .list(resource, namespace)
    .filter((item) => matches(item) && item.metadata.name > from.name)
  const items = found.slice(0, limit)
  const remaining = found.length - items.length
  const metadata = {
    resourceVersion: String(from.version),
    ...(remaining === 0
      ? {}
      : {
          continue: writeContinue(from.version, items.at(-1)?.metadata.name ?? ''),
          remainingItemCount: remaining,
        }),
  }
  return representation.list(resource, items, metadata)
}

function checkVersion(store: Store, version: string, match: string | null): void {
  if (version !== '' && !/^\d+$/.test(version)) {
    throw badRequest(`invalid resource version: ${badVersion(version)}`)
  }
  if (match !== null && version === '') {
    throw invalid(listOptions('resourceVersionMatch is forbidden unless resourceVersion is provided'))
  }
  if (match === 'Exact' && Number(version) < store.floor()) {
    throw new Refusal(expired('The resourceVersion for the provided list is too old.'))
  }
}

export function badVersion(version: string): string {
  return `resourceVersion: Invalid value: "${version}": strconv.ParseUint: parsing "${version}": invalid syntax`
}

/** What is wrong with the options of a LIST or WATCH, all of it about `resourceVersionMatch`. */
export function listOptions(message: string) {
  const cause = {
    reason: 'FieldValueForbidden',
    message: `Forbidden: ${message}`,
    field: 'resourceVersionMatch',
  }
  return { group: 'meta.k8s.io', kind: 'ListOptions', causes: [cause] }
}

const ANY_VERSION = -1
const continueToken = z.object({ v: z.literal('meta.k8s.io/v1'), rv: z.number(), start: z.string() })

function writeContinue(version: number, name: string): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: version, start: `/${name}\0` })).toString(
    'base64url',
  )
}

function readContinue(
  store: Store,
  token: string | null,
  version: string,
): { version: number; name: string } {
  if (token === null) return { version: store.version(), name: '' }
  if (version !== '') throw badRequest('specifying resource version is not allowed when using continue')
  const read = decode(token)
  const name = read.start.replace(/^\//, '').replace(/\0$/, '')
  if (read.rv === ANY_VERSION) return { version: store.version(), name }
  if (read.rv < store.floor()) {
    const status = expired(TOO_OLD_TO_CONTINUE)
    throw new Refusal({ ...status, metadata: { continue: writeContinue(ANY_VERSION, name) } })
  }
  return { version: read.rv, name }
}

function decode(token: string): z.infer<typeof continueToken> {
  try {
    return continueToken.parse(JSON.parse(Buffer.from(token, 'base64url').toString()))
  } catch {
    throw badRequest(
      "invalid continue token: continue key is not valid: invalid character 'i' looking for beginning of value",
    )
  }
}

const TOO_OLD_TO_CONTINUE =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
  'without the continue parameter, or use the continue token in this response to retrieve the remainder of ' +
  'the results. Continuing with the provided token results in an inconsistent list - objects that were ' +
  'created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'
