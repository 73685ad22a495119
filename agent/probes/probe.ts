/** One thing that has to work from this node, before and after a change of rules. */
export type Probe = {
  /** What messages call it: `api server`, `lease`, `kubelet log`, `cluster dns`, or `RULESET/NAME` of a ruleset's own. */
  readonly name: string
  /** Resolves when it works now; rejects with an OutsideError that says why not. */
  readonly before: (signal: AbortSignal) => Promise<void>
  /**
   * Resolves when it has been seen to work since the call; rejects with an OutsideError when this attempt failed. It is
   * called again until it resolves, or the deadline is over; state that has to outlive an attempt is its own.
   */
  readonly after: (signal: AbortSignal) => Promise<void>
}

export type ProbeResult = {
  readonly name: string
  /** Why it does not work; absent: it works. */
  readonly failure?: string
}
