import type { FamilyOutcome } from '../netfilter/keep-family.ts'
import type { Family } from '../ruleset/address.ts'
import type { DriftStatus } from './status.ts'

export const noDrift: DriftStatus = { count: 0, byKind: {} }

/** Adds what one pass found changed from outside. `by` names the process, where the kernel told. */
export function recordDrift(
  drift: DriftStatus,
  families: Readonly<Partial<Record<Family, FamilyOutcome>>>,
  { at, by }: { readonly at: string; readonly by: string | undefined },
): DriftStatus {
  const found = Object.entries(families).flatMap(([family, outcome]) =>
    outcome.drift.map(({ kind, message, healed }) => ({ kind, message: `${family}: ${message}`, healed })),
  )
  if (found.length === 0) return drift
  const byKind = new Map(Object.entries(drift.byKind))
  for (const { kind } of found) byKind.set(kind, (byKind.get(kind) ?? 0) + 1)
  return {
    count: drift.count + found.length,
    byKind: Object.fromEntries(byKind),
    last: {
      at,
      message: found.map(({ message }) => message).join('; '),
      healed: found.every(({ healed }) => healed),
      ...(by ? { by } : {}),
    },
  }
}
