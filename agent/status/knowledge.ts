import type { Dataplane } from '../bypass/dataplane.ts'
import type { Override } from '../confirm/break-glass.ts'
import type { Progress } from '../confirm/trials.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { FamilyOutcome } from '../netfilter/keep-family.ts'
import type { Decision } from '../policy/decide.ts'
import type { NodeFacts } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'
import type { CutStatus, DriftStatus, StatusDetails } from './status.ts'

/** What a pass knows at its end. */
export type Knowledge = {
  readonly decision?: Decision
  readonly facts?: FactsSeen
  readonly backend?: Backend
  readonly source?: 'mount' | 'api' | undefined
  readonly families: Readonly<Partial<Record<Family, FamilyOutcome>>>
  /** What is worth knowing of the backend that is not in use, as of the last time somebody looked. */
  readonly otherRules: readonly string[]
  readonly drift: DriftStatus
  /** What stands beside netfilter on the way of packets. */
  readonly dataplane?: Dataplane | undefined
  /** Where new rulesets stand, if they are not simply in force. */
  readonly progress?: Progress | undefined
  /** Who has overridden the rulesets, and what is odd about it. */
  readonly overridden?: { readonly override?: Override; readonly problems: readonly string[] }
  /** What is wrong with what is kept on the host. */
  readonly keptProblems?: readonly string[]
  readonly cut?: CutStatus | undefined
  /** How what rules log is read, and what was denied most; absent: no rule logs, or nobody reads it. */
  readonly logging?: Pick<StatusDetails, 'logging' | 'denied'> | undefined
  readonly appliedAt?: string | undefined
  readonly verifiedAt?: string | undefined
  /** Why the pass could not even begin to look at the kernel. */
  readonly failure?: Error
}

/** Facts of the node as they were read last, and what is odd about them. */
export type FactsSeen = { readonly value: NodeFacts | undefined; readonly warnings: readonly string[] }
