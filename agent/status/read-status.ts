import * as z from 'zod'
import { annotationPrefix } from './annotations.ts'
import { detailsSchema } from './details-schema.ts'

/** Other versions of the agent may leave out what this one writes always. */
const anyDetails = detailsSchema.unwrap().partial()

/** What the annotations of a Node say, as far as this program understands them. */
export type ReadStatus = {
  /** As it is written: an agent of another version may have states that are not known here. */
  readonly state: string
  readonly ruleset: string
  readonly message: string
  readonly appliedAt?: string
  readonly verifiedAt?: string
  /** Absent keys were not written, or are not understood. */
  readonly details: z.infer<typeof anyDetails>
  /** What of the details is not understood, each a line. */
  readonly unreadable: readonly string[]
}

type Annotations = Readonly<Record<string, string>>

/**
 * Reads what `toAnnotations` wrote, in this version or another one: unknown keys are passed over, and what is not
 * understood of the details takes nothing else with it. Undefined for a Node on which no agent has written.
 */
export function readStatus(annotations: Annotations): ReadStatus | undefined {
  const read = (key: string) => annotations[annotationPrefix + key]
  const [state, appliedAt, verifiedAt] = [read('state'), read('applied-at'), read('verified-at')]
  if (state === undefined) return undefined
  return {
    state,
    ruleset: read('ruleset') ?? 'unknown',
    message: read('message') ?? '',
    ...(appliedAt === undefined ? {} : { appliedAt }),
    ...(verifiedAt === undefined ? {} : { verifiedAt }),
    ...readDetails(read('status')),
  }
}

function readDetails(text: string | undefined): Pick<ReadStatus, 'details' | 'unreadable'> {
  if (text === undefined) return { details: {}, unreadable: ['the annotation "status" is missing'] }
  const object = z.record(z.string(), z.unknown()).safeParse(tryJson(text))
  if (!object.success) return { details: {}, unreadable: ['the annotation "status" is no JSON object'] }
  const { issues = [] } = anyDetails.safeParse(object.data).error ?? {}
  const odd = new Set(issues.map(({ path }) => path[0]))
  const rest = Object.fromEntries(Object.entries(object.data).filter(([key]) => !odd.has(key)))
  return { details: anyDetails.parse(rest), unreadable: issues.map(describe) }
}

function describe({ path, message }: z.core.$ZodIssue): string {
  return `${path.map(String).join('.')}: ${message}`
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
