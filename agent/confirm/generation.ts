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
  /** RFC 3339 */
  readonly confirmedAt: string
}

/** A change that was not confirmed yet: what is in force may be it. */
export type Trial = {
  readonly hash: string
  /** Names of the probes that worked before the change: only they can cause a rollback. */
  readonly passedBefore: readonly string[]
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

/** What changes with every trial. It is one file, so that no crash comes between the end of a trial and its outcome. */
export type Journal = {
  readonly trial?: Trial
  /** The newest first. */
  readonly quarantined: readonly Quarantined[]
  /** Rules that were rolled back may have let in what the rules of before deny, and nobody has cut it yet. */
  readonly uncut?: true
  /** What the annotation of the Node said last: it holds while the API server is away. */
  readonly mode?: string
}
