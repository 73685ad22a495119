import type { Exec } from '../host/exec.ts'
import type { Policy } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'
import { cutDenied } from './cut.ts'
import type { Cut, Cutting } from './cut.ts'
import { judgeBy, viewOf } from './is-denied.ts'

export type Cutter = {
  /** Cuts what a policy that has just come into force denies; of several asked for meanwhile, only the last. */
  start(policy: Policy, families: readonly Family[]): void
  /** Resolves when there is nothing left to do. */
  settled(): Promise<void>
}

export type CutterOptions = Pick<Cutting, 'findNamespaces'> & {
  /** Runs programs in the network namespace of the node. */
  readonly exec: Exec
  /** Told of each time that found anything to cut, or could not look. */
  readonly onCut: (cut: Cut) => void
}

/** Cuts connections beside the passes: it takes up to seconds, in which drift has to be healed. */
export function createCutter({ onCut, ...how }: CutterOptions): Cutter {
  let next: { readonly policy: Policy; readonly families: readonly Family[] } | undefined
  let working: Promise<void> | undefined
  const work = async () => {
    for (let job = next; job !== undefined; job = next) {
      next = undefined
      const { policy, families } = job
      const ofPolicy = { ...how, isDenied: judgeBy(policy), node: viewOf(policy) }
      const cuts = await Promise.all(families.map(async (family) => cutDenied({ ...ofPolicy, family })))
      const cut = addUp(cuts)
      if (cut.cut + cut.failed + cut.notes.length > 0) onCut(cut)
    }
    working = undefined
  }
  return {
    start(policy, families) {
      next = { policy, families }
      working ??= work()
    },
    async settled() {
      await working
    },
  }
}

function addUp(cuts: readonly Cut[]): Cut {
  return {
    cut: cuts.reduce((sum, { cut }) => sum + cut, 0),
    failed: cuts.reduce((sum, { failed }) => sum + failed, 0),
    notes: [...new Set(cuts.flatMap(({ notes }) => notes))],
  }
}
