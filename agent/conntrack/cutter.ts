import type { Exec } from '../host/exec.ts'
import type { Policy } from '../policy/policy.ts'
import type { Family } from '../ruleset/address.ts'
import { cutDenied } from './cut.ts'
import type { Cut, Cutting } from './cut.ts'
import { judgeBy, viewOf } from './is-denied.ts'

export type Cutter = {
  /** Cuts what a policy that has just come into force denies; of several for a family meanwhile, only the last. */
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
  const waiting = new Map<Family, Policy>()
  let working: Promise<void> | undefined
  const work = async () => {
    while (waiting.size > 0) {
      const due = [...waiting]
      waiting.clear()
      const cuts = await Promise.all(
        due.map(async ([family, policy]) =>
          cutDenied({ ...how, isDenied: judgeBy(policy), node: viewOf(policy), family }),
        ),
      )
      const cut = addUp(cuts)
      if (cut.cut + cut.failed + cut.notes.length > 0) onCut(cut)
    }
    working = undefined
  }
  return {
    start(policy, families) {
      for (const family of families) waiting.set(family, policy)
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
