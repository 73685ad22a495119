import { verifiedEveryMs } from './publish.ts'
import { readStatus } from './read-status.ts'
import type { ReadStatus } from './read-status.ts'
import type { State } from './status.ts'

/** What a person should think of a node. */
export type Assessed = {
  readonly node: string
  /** What it says of itself, or why that counts for nothing. */
  readonly condition: string
  readonly severity: Severity
  readonly message: string
  /** Absent: no agent has written any. */
  readonly status?: ReadStatus
}

/** 0 fine, 1 under way, 3 wrong, 4 not known. */
export type Severity = 0 | 1 | 3 | 4

/**
 * Whoever has not written `verified-at` for so long, in ms, does not run, or cannot reach the API server: it is
 * written each 10 to 15 minutes, so two of these have been missed.
 */
export const staleAfterMs = 3 * verifiedEveryMs

export const noStatus = 'NoStatus'
export const stale = 'Stale'

const severities: Readonly<Record<State, Severity>> = {
  RolledBack: 3,
  Invalid: 3,
  Degraded: 3,
  Waiting: 1,
  Confirming: 1,
  Enforcing: 0,
  Auditing: 0,
  Off: 0,
}

export function assessNode(
  {
    name: node,
    annotations,
  }: { readonly name: string; readonly annotations: Readonly<Record<string, string>> },
  { now, staleAfter }: { readonly now: number; readonly staleAfter: number },
): Assessed {
  const status = readOnce(annotations)
  if (status === undefined) {
    return { node, condition: noStatus, severity: 4, message: 'no agent has written a status here' }
  }
  const { state, message } = status
  const severity = isState(state) ? severities[state] : 4
  const doubt = doubtOf(status, severity, { now, staleAfter })
  if (doubt === undefined) return { node, condition: state, severity, message, status }
  return {
    node,
    condition: stale,
    severity: 4,
    message: `it said ${state}${doubt} ${message}`.trim(),
    status,
  }
}

/**
 * Why what a node says counts for nothing now. Where its clock is far ahead nobody could tell when its agent ended, for
 * as long as it is.
 */
function doubtOf(
  { state, verifiedAt }: ReadStatus,
  severity: Severity,
  { now, staleAfter }: { readonly now: number; readonly staleAfter: number },
): string | undefined {
  // Degraded is what cannot be verified: its time stands still while the agent is well.
  if (state === 'Degraded') return undefined
  const silentMs = now - Date.parse(verifiedAt ?? '')
  if (silentMs > staleAfter) return `, and nothing since ${verifiedAt}: does its agent run?`
  if (silentMs < -staleAfter) {
    return ` at ${verifiedAt}, which is yet to come: is its clock right, or the one here?`
  }
  return Number.isNaN(silentMs) && severity === 0 ? ', and not when that was verified' : undefined
}

const read = new WeakMap<object, ReadStatus | undefined>()

/** Thousands of nodes are looked at again whenever one of them changes. */
function readOnce(annotations: Readonly<Record<string, string>>): ReadStatus | undefined {
  if (!read.has(annotations)) read.set(annotations, readStatus(annotations))
  return read.get(annotations)
}

/** The worst come first; those that are alike by name, `worker-2` before `worker-10`. */
export function worstFirst(nodes: readonly Assessed[]): Assessed[] {
  return nodes.toSorted(
    (a, b) =>
      b.severity - a.severity ||
      rank(a.condition) - rank(b.condition) ||
      byName.compare(a.condition, b.condition) ||
      byName.compare(a.node, b.node),
  )
}

export function worstSeverity(nodes: readonly Assessed[]): Severity {
  return nodes.reduce<Severity>((worst, { severity }) => (severity > worst ? severity : worst), 0)
}

/** "5 nodes: 1 RolledBack, 4 Enforcing" */
export function summarize(nodes: readonly Assessed[]): string {
  const counts = new Map<string, number>()
  for (const { condition } of worstFirst(nodes)) counts.set(condition, (counts.get(condition) ?? 0) + 1)
  const parts = [...counts].map(([condition, count]) => `${count} ${condition}`)
  return `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}${parts.length > 0 ? ': ' : ''}${parts.join(', ')}`
}

const byName = new Intl.Collator('en', { numeric: true })
const order = [noStatus, stale, ...Object.keys(severities)]

function rank(condition: string): number {
  return order.indexOf(condition)
}

function isState(text: string): text is State {
  return Object.hasOwn(severities, text)
}
