import type { ProbeResult } from '../probes/probe.ts'
import { digestOf, noRulesets } from './candidate.ts'
import type { Quarantined, Wide } from './generation.ts'
import type { Keeping, Subject } from './keeping.ts'

/** Keeps what has become of a change that was tried. */
export type Conclude = {
  readonly confirmed: (subject: Subject) => Promise<void>
  /** The rules of before are due; of a change of nothing but failsafes, those that were wide. */
  readonly rolledBack: (subject: Subject, first: ProbeResult | undefined) => Promise<void>
  /** What an agent has noted as rolled back and could not end; `hash`: of what the kernel may still hold. */
  readonly endRollback: (hash: string | undefined) => Promise<void>
  /** Nothing is tried any more. */
  readonly crossOff: () => Promise<void>
}

export type ConcludeEffects = {
  readonly onConfirmed: (hash: string) => void
  /** Failsafes that were to become narrow stay wide. */
  readonly onWide: (wide: Wide) => void
  readonly onRolledBack: (quarantined: Quarantined) => void
  readonly now: () => Date
}

/** No probe has failed, and yet it could not be confirmed before the time was over. */
const late: ProbeResult = { name: 'deadline', failure: 'not all of it was in force and read back in time' }

export function createConclude(keeping: Keeping, effects: ConcludeEffects): Conclude {
  const timestamp = () => effects.now().toISOString()
  /** Not before the store has what was confirmed: without either the next agent would return to what was before. */
  const crossOff = async () => {
    if (keeping.hasLastGood()) await keeping.note({ trial: undefined })
  }
  return {
    crossOff,
    async confirmed(subject) {
      const isNew = subject.hash !== keeping.lastGoodHash()
      await keeping.keepLastGood(subject, timestamp())
      await crossOff()
      if (isNew) effects.onConfirmed(subject.hash)
    },
    async rolledBack({ hash, files }, { name: probe, failure: reason = '' } = late) {
      const at = timestamp()
      if (hash === keeping.lastGoodHash()) {
        const wide = { hash, probe, reason, at }
        await keeping.note({ trial: undefined, wide })
        effects.onWide(wide)
        return
      }
      const quarantined = { hash, text: digestOf(files), probe, reason, at }
      if (keeping.lastGoodHash() === undefined) await keeping.keepLastGood(noRulesets, at)
      await keeping.note({ trial: keeping.hasLastGood() ? undefined : keeping.trial(), quarantined })
      effects.onRolledBack(quarantined)
    },
    async endRollback(hash) {
      const isTakenBack = hash !== undefined && keeping.quarantined(hash) !== undefined
      if (!isTakenBack || keeping.lastGoodHash() !== undefined) return
      // Of the first rules of all, which had nothing before them.
      await keeping.keepLastGood(noRulesets, timestamp())
    },
  }
}
