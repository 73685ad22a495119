import type { SourceFile } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'

/** Rulesets that were confirmed on this node, with all that is needed to put them in force again. */
export type Generation = {
  /** Hash of the rulesets that select the node; `none` when none does. */
  readonly hash: string
  /** The files as they were read. */
  readonly files: readonly SourceFile[]
  /** Labels of the node when it was confirmed: they stand in while the API server is away. */
  readonly labels: Labels
  /** Sets of the cluster by which failsafes were narrow then; absent: nobody has kept it, and any may be. */
  readonly narrowed?: readonly string[]
  /** RFC 3339 */
  readonly confirmedAt: string
}

/** A change that was not confirmed yet: what is in force may be it. */
export type Trial = {
  readonly hash: string
  /** Names of the probes that worked before the change: only they can cause a rollback. */
  readonly passedBefore: readonly string[]
  /** The rules are confirmed; what is tried are narrow failsafes. */
  readonly narrows?: true
  /** RFC 3339 */
  readonly startedAt: string
}

/** Rulesets that were rolled back: they are not tried again until their text changes. */
export type Quarantined = {
  readonly hash: string
  /** Digest of the files: whoever wants another try of the same rules changes a comment. */
  readonly text: string
  /** The probe that failed, and why. */
  readonly probe: string
  readonly reason: string
  /** RFC 3339 */
  readonly at: string
}

/** Failsafes that were narrow for as long as they were tried. */
export type Wide = Omit<Quarantined, 'text'>

/** What changes with every trial. It is one file, so that no crash comes between the end of a trial and its outcome. */
export type Journal = {
  readonly trial?: Trial
  /** The newest first. */
  readonly quarantined: readonly Quarantined[]
  /** Rulesets that are confirmed, and whose failsafes stay wide since with narrow ones a probe failed. */
  readonly wide?: Wide
  /** Rules that were rolled back may have let in what the rules of before deny, and nobody has cut it yet. */
  readonly uncut?: true
  /** What the annotation of the Node said last: it holds while the API server is away. */
  readonly mode?: string
}
