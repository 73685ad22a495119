import type { Wanted } from '../policy/decide.ts'
import { digestOf } from './candidate.ts'
import type { Quarantined } from './generation.ts'
import type { Keeping } from './keeping.ts'
import { noTrials } from './trials.ts'
import type { Choice, Trials } from './trials.ts'

/**
 * What should be in force according to what an agent keeps, for who only compares: the rulesets as they are written, or if
 * these were rolled back, what was confirmed before.
 *
 * @param onRolledBack told of it, with the hash of what stands instead
 */
export function createOnlooker(
  keeping: Keeping,
  onRolledBack: (quarantined: Quarantined, standing: string) => void,
): Trials {
  const isWide = (wanted: Wanted) => {
    const tried = keeping.narrowed()
    return (
      tried !== undefined &&
      wanted.kind === 'policy' &&
      wanted.policy.failsafesBy.some((set) => !tried.includes(set))
    )
  }
  const candidate = (wanted: Wanted): Choice => {
    const isKept = wanted.kind === 'policy' && wanted.policy.hash === keeping.lastGoodHash()
    // In the middle of their trial they are narrow.
    return { kind: 'candidate', widens: isKept && keeping.trial() === undefined && isWide(wanted) }
  }
  return {
    ...noTrials,
    async choose({ decision: { wanted }, files }) {
      const quarantined = wanted.kind === 'policy' ? keeping.quarantined(wanted.policy.hash) : undefined
      if (quarantined === undefined || quarantined.text !== digestOf(files)) return candidate(wanted)
      const [kept, hash] = [keeping.lastGood(), keeping.lastGoodHash()]
      if (kept === undefined || hash === undefined) return candidate(wanted)
      onRolledBack(quarantined, hash)
      return { kind: 'standing', parsed: kept.parsed, labels: kept.labels, widens: isWide(wanted) }
    },
  }
}
