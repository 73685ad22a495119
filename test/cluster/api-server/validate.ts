import type { Resource } from './resources.ts'
import { invalid } from './statuses.ts'
import type { Cause } from './statuses.ts'
import { isRecord } from './objects.ts'
import type { Draft, Stored } from './store.ts'

const MAX_ANNOTATIONS_BYTES = 256 * 1024

/** The server runs this check four times in an update, and says so four times. */
const TIMES = 4

/** 422 for annotations whose keys are no qualified names, or that are too long all together. */
export function validateMetadata(resource: Resource, { metadata }: Stored): void {
  const annotations = Object.entries(metadata.annotations ?? {})
  const causes = annotations.flatMap(([key]) =>
    keyProblems(key).map((why) => ({
      reason: 'FieldValueInvalid',
      message: `Invalid value: "${key}": ${why}`,
      field: 'metadata.annotations',
    })),
  )
  const bytes = annotations.reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0)
  if (bytes > MAX_ANNOTATIONS_BYTES) causes.push(tooLong)
  if (causes.length === 0) return
  const repeated: Cause[] = Array.from({ length: TIMES }, () => causes).flat()
  throw invalid({ name: metadata.name, kind: resource.kind, causes: repeated })
}

/** 422 for an event about an object in no namespace, as Nodes are, outside of the namespace default. */
export function validateEvent(draft: Draft, namespace: string | undefined): void {
  const { involvedObject } = draft
  const named = isRecord(involvedObject) ? involvedObject['namespace'] : undefined
  const of = typeof named === 'string' ? named : ''
  if (of === namespace || (of === '' && namespace === 'default')) return
  const message = `Invalid value: "${of}": does not match event.namespace`
  const cause = { reason: 'FieldValueInvalid', message, field: 'involvedObject.namespace' }
  throw invalid({ name: draft.metadata.name, kind: 'Event', causes: [cause] })
}

const tooLong = {
  reason: 'FieldValueTooLong',
  message: `Too long: may not be more than ${MAX_ANNOTATIONS_BYTES} bytes`,
  field: 'metadata.annotations',
}

function keyProblems(key: string): string[] {
  const [first = '', second, ...more] = key.split('/')
  if (more.length > 0) return [`a valid label key ${NAME_RULE} with an optional DNS subdomain prefix and '/'`]
  const name = second ?? first
  const problems: string[] = []
  if (
    second !== undefined &&
    !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i.test(first)
  ) {
    problems.push(
      'prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters',
    )
  }
  if (name === '') problems.push('name part must be non-empty')
  if (name.length > 63) problems.push('name part must be no more than 63 bytes')
  if (!/^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/.test(name)) problems.push(`name part ${NAME_RULE}`)
  return problems
}

const NAME_RULE =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
  "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
  "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
