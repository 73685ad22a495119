import type { Dataplane } from './bypass/dataplane.ts'
import type { Override } from './confirm/break-glass.ts'
import type { Trials } from './confirm/trials.ts'
import type { Backend } from './netfilter/backend.ts'
import type { Ipsets } from './netfilter/ipsets.ts'
import type { LogTarget } from './netfilter/log-text.ts'
import type { Tables } from './netfilter/tables.ts'
import type { Decision, Wanted } from './policy/decide.ts'
import type { ClusterFacts, NodeFacts, Policy } from './policy/policy.ts'
import type { Family } from './ruleset/address.ts'
import type { Parsed, SourceFile } from './ruleset/parse.ts'
import type { Labels } from './ruleset/select.ts'
import type { Knowledge } from './status/knowledge.ts'
import { noDrift } from './status/drift.ts'
import type { CutStatus, StatusDetails } from './status/status.ts'

/** Why a pass runs. `by` names who caused it, where that is known. */
export type Trigger = {
  readonly reason:
    | 'start'
    | 'files'
    | 'node'
    | 'cluster'
    | 'network'
    | 'cut'
    | 'expiry'
    | 'confirm'
    | 'rollout'
    | 'mode'
    | 'logging'
    | 'drift'
    | 'verify'
    | 'reapply'
    | 'signal'
    | 'retry'
  readonly by?: string
}

/** The effects a pass has, and the facts it cannot know by itself. */
export type Effects = {
  readSources(): Promise<readonly SourceFile[]>
  /** Where the last of them came from, where there is more than one place. */
  sourceOf?(): 'mount' | 'api'
  parse(files: readonly SourceFile[]): Parsed
  /** `undefined` while they could not be read. */
  labels(): Labels | undefined
  /** `thorough`: also what seldom changes and takes longer to read. */
  readFacts(thorough: boolean): Promise<NodeFacts>
  /** What the sets of the cluster hold; the same object for as long as nothing changed. */
  clusterFacts(): ClusterFacts
  /** What stands beside netfilter on the way of packets; asked for with passes that are thorough. */
  readDataplane(external: readonly string[]): Promise<Dataplane>
  readFamilies(): Promise<readonly Family[]>
  detectBackend(current: Backend | undefined): Promise<Backend>
  readonly tables: Tables
  readonly ipsets: Ipsets
  /** Chooses between what the rulesets say now and what was confirmed last. */
  readonly trials: Pick<
    Trials,
    'choose' | 'noted' | 'settle' | 'catchUp' | 'progress' | 'owesCut' | 'problems' | 'stop'
  >
  /** What overrides the rulesets of this node, and what is odd about it. */
  override(): { readonly override?: Override; readonly problems: readonly string[] }
  /** Called when rules that were not in force before have come into force, in these families. */
  onNewRules(policy: Policy, families: readonly Family[]): void
  /** What was cut last of connections that stood when rules began to deny them. */
  lastCut(): CutStatus | undefined
  /** Where rules that log send packets, and what came of it; absent: nobody reads it. */
  readonly logging?: {
    chooseTarget(wanted: Wanted): Promise<LogTarget>
    /** `unlogged`: packets of all time that rules left out, above their limits; absent: not known. */
    report(unlogged: number | undefined): Pick<StatusDetails, 'logging' | 'denied'> | undefined
  }
  /** Compare only: nothing is written to the kernel. */
  readonly dryRun: boolean
  now(): Date
  /** ms of a clock that nobody can set. */
  elapsedMs(): number
}

/** What one pass leaves for the next. */
export type Memory = Knowledge & {
  /** What the rulesets as they are written now lead to; `decision` is what was to be in force. */
  readonly candidate?: Decision
  /** How long it took to compare, write and read back, in ms. */
  readonly keptInMs?: number
}

export const noMemory: Memory = { families: {}, otherRules: [], drift: noDrift }
