import type { Override } from '../confirm/break-glass.ts'
import type { LoggingStatus } from '../denied/news.ts'
import type { TopFlows } from '../denied/top-flows.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { ServicePorts } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'

/**
 * - Enforcing: read back from the kernel, and as the rulesets say.
 * - Auditing: the same, but every ruleset is in audit mode: nothing is denied, only counted and logged.
 * - Waiting: rulesets that are new are not this node's turn yet, or will never be; those confirmed last are in force.
 * - Confirming: new rulesets are in force, and it is being seen whether the node still works.
 * - RolledBack: they did not let the node work; those confirmed last are in force again.
 * - Invalid: the rulesets have errors; what was in force before them stays.
 * - Degraded: something is not as it should be, or cannot be known; the message says what.
 * - Off: no ruleset selects this node, or somebody has switched it off, so nothing of ours is in the kernel.
 */
export type State =
  | 'Enforcing'
  | 'Auditing'
  | 'Waiting'
  | 'Confirming'
  | 'RolledBack'
  | 'Invalid'
  | 'Degraded'
  | 'Off'

/** What a node says of itself. Times are RFC 3339. */
export type Status = {
  readonly state: State
  /** Short hash of the rulesets in force, read back from the kernel; `none` when there are none. */
  readonly ruleset: string
  /** One line a person can act on. */
  readonly message: string
  /** When the rules in the kernel were last written by this agent. */
  readonly appliedAt?: string
  /** When all that is in force was last read back and found as it should be. */
  readonly verifiedAt?: string
  readonly details: StatusDetails
}

export type StatusDetails = {
  readonly backend?: Backend
  /** Where the text of the rulesets came from: the mounted files, or the API. */
  readonly source?: 'mount' | 'api'
  readonly interfaces: { readonly external: readonly string[] }
  /** TCP ports of what Kubernetes runs on the node, as far as they were found. */
  readonly ports?: ServicePorts
  readonly families: Readonly<Partial<Record<Family, FamilyStatus>>>
  readonly drift: DriftStatus
  /** New rulesets that are not simply in force. */
  readonly change?: ChangeStatus
  /** Who has overridden the rulesets of this node. */
  readonly mode?: Override
  readonly connections?: CutStatus
  /** Absent: no rule logs. */
  readonly logging?: LoggingStatus
  /** What was denied most, by rules that log. */
  readonly denied?: TopFlows
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  readonly notEnforceable: readonly string[]
}

export type FamilyStatus = {
  /** `yes` and `no` were read from the kernel; `unknown` is why it could not be. */
  readonly inForce: 'yes' | 'no' | 'unknown'
  readonly ruleset: string
  readonly rules: number
  /** Kernel sets of addresses. */
  readonly sets?: number
  /** `first`: no rule that could decide a packet's fate stands before the jump. */
  readonly position: 'first' | 'preceded' | 'absent'
  readonly error?: string
}

/** What becomes of rulesets that are new. */
export type ChangeStatus = {
  readonly ruleset: string
  readonly step: 'waiting' | 'stopped' | 'confirming' | 'rolled back'
  /** Probes that decide: all that worked before the change. */
  readonly probes?: readonly string[]
  /** The probe that failed, and why. */
  readonly failed?: string
  readonly at?: string
  readonly message?: string
}

/** Connections that stood when rules began to deny them, as of the last time there were any. */
export type CutStatus = {
  readonly at: string
  readonly cut: number
  /** Those that go on all the same; the notes say why. */
  readonly failed: number
  readonly notes: readonly string[]
}

/** Changes to our rules that came from outside. */
export type DriftStatus = {
  readonly count: number
  readonly byKind: Readonly<Record<string, number>>
  readonly last?: {
    readonly at: string
    readonly message: string
    readonly healed: boolean
    readonly by?: string
  }
}
