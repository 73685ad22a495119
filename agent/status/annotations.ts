import { progressAnnotation } from '../rollout/peer.ts'
import type { Status } from './status.ts'

export const annotationPrefix = 'node-firewall.io/'

export type Annotations = Readonly<Record<string, string | null>>

const keys = ['state', 'ruleset', 'message', 'applied-at', 'verified-at', 'status'] as const

/** A message is for one line of `kubectl get`; the log and the rulesets have the rest. */
const longestMessage = 400

/**
 * All annotations of a Node together may have 256 KiB, and of a patch that would make more of them nothing arrives: no
 * text of somebody's, and no list of what is wrong, may be so long.
 */
const longestText = 500
const longestList = 32

/** A status as the annotations of a Node. `null` stands for an annotation that should not be there. */
export function toAnnotations(status: Status): Annotations {
  const { state, ruleset, message, appliedAt, verifiedAt, details } = status
  const values: Readonly<Record<(typeof keys)[number], string | undefined>> = {
    state,
    ruleset,
    message: shorten(message, longestMessage),
    'applied-at': appliedAt,
    'verified-at': verifiedAt,
    status: JSON.stringify(details, (_, value: unknown) => bound(value)),
  }
  const annotations: Record<string, string> = {}
  for (const key of keys) {
    const value = values[key]
    if (value !== undefined) annotations[annotationPrefix + key] = value
  }
  return annotations
}

/**
 * No half of a surrogate pair may be left: the API server stores U+FFFD in its place, and what is not stored as it was
 * written would be written again and again.
 */
function shorten(given: string, longest: number): string {
  const text = given.toWellFormed()
  if (text.length <= longest) return text
  return `${text.slice(0, longest - 3).replace(/[\uD800-\uDBFF]$/, '')}...`
}

/** A part of the details, so that it fits. */
function bound(value: unknown): unknown {
  if (typeof value === 'string') return shorten(value, longestText)
  if (!Array.isArray(value) || value.length <= longestList) return value
  const most: unknown[] = value.slice(0, longestList - 1)
  return [...most, `and ${value.length - most.length} more`]
}

/** All annotations that are ours or for us, to be removed. */
export function noAnnotations(): Annotations {
  const all = [...keys.map((key) => annotationPrefix + key), modeAnnotation, progressAnnotation]
  return Object.fromEntries(all.map((key) => [key, null]))
}

/** By it people switch a node off, or to audit mode. */
export const modeAnnotation = `${annotationPrefix}mode`

/**
 * What has to be patched to get from one state of the annotations to another. A newer `verified-at` alone is
 * no reason to write unless it is due: thousands of nodes would otherwise write with every pass. Nor is what was denied
 * of late.
 */
export function changedAnnotations(
  published: Readonly<Record<string, string | null | undefined>>,
  wanted: Annotations,
  verifiedAtIsDue: boolean,
): Annotations {
  const changed = Object.entries(wanted).filter(([key, value]) => (published[key] ?? null) !== value)
  const verifiedAt = `${annotationPrefix}verified-at`
  const details = `${annotationPrefix}status`
  const worthIt =
    verifiedAtIsDue ||
    changed.some(([key, value]) => {
      if (key === details) return withoutNews(published[key]) !== withoutNews(value)
      return key !== verifiedAt
    })
  return worthIt ? Object.fromEntries(changed) : {}
}

/** Details without what changes with each packet. */
function withoutNews(text: string | null | undefined): string | null {
  if (text === null || text === undefined || !text.includes('"denied"')) return text ?? null
  try {
    return JSON.stringify(JSON.parse(text), (key, value: unknown) => (key === 'denied' ? undefined : value))
  } catch {
    return text
  }
}
