import type { Status } from './status.ts'

/** What is told of a Node as a Kubernetes Event. */
export type StatusEvent = {
  readonly type: 'Normal' | 'Warning'
  readonly reason: 'Applied' | 'Drift' | 'Invalid' | 'RolledBack' | 'NotEnforceable'
  readonly message: string
}

/** What is worth an Event in a status, given the one before it; nothing of what the agent before may have told. */
export function eventsBetween(before: Status | undefined, after: Status): StatusEvent[] {
  return [
    ...rollbacks(before, after),
    ...errors(before, after),
    ...(before === undefined ? [] : [...applied(before, after), ...drift(before, after)]),
    ...bypasses(before, after),
  ]
}

function rollbacks(before: Status | undefined, { details: { change }, message }: Status): StatusEvent[] {
  const isNew = change?.step === 'rolled back' && change.at !== before?.details.change?.at
  return isNew ? [{ type: 'Warning', reason: 'RolledBack', message }] : []
}

function errors(before: Status | undefined, { state, message }: Status): StatusEvent[] {
  if (state !== 'Invalid' || (before?.state === state && before.message === message)) return []
  return [{ type: 'Warning', reason: 'Invalid', message }]
}

function applied(before: Status, { state, ruleset, message }: Status): StatusEvent[] {
  const isInForce = state === 'Enforcing' || state === 'Auditing' || state === 'Off'
  const wasSettled = before.state === state && before.ruleset === ruleset
  // The same rules are in force again after trouble: nothing was applied.
  const isSame = before.ruleset === ruleset && before.state !== 'Confirming'
  if (!isInForce || wasSettled || isSame) return []
  return [{ type: 'Normal', reason: 'Applied', message: `ruleset ${ruleset}: ${message}` }]
}

function drift(before: Status, { details }: Status): StatusEvent[] {
  const { count, last } = details.drift
  if (last === undefined || count <= before.details.drift.count) return []
  const by = last.by === undefined ? '' : ` by ${last.by}`
  const healed = last.healed ? 'healed' : 'not healed'
  return [
    { type: 'Warning', reason: 'Drift', message: `changed from outside${by}, ${healed}: ${last.message}` },
  ]
}

function bypasses(before: Status | undefined, { details }: Status): StatusEvent[] {
  const known = new Set(before?.details.notEnforceable)
  return details.notEnforceable
    .filter((finding) => !known.has(finding))
    .map((message) => ({ type: 'Warning', reason: 'NotEnforceable', message }))
}
