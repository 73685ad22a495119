import { isExpected } from '../errors.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { Policy } from '../policy/policy.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { noMemory, reconcile } from '../reconcile.ts'
import type { Effects, Memory, Trigger } from '../reconcile.ts'
import { deriveStatus } from '../status/derive.ts'
import type { Status } from '../status/status.ts'
import type { Health } from '../telemetry/health.ts'

export type LoopEffects = Effects & {
  /** Called when rules that were not in force before have come into force, in these families. */
  readonly onNewRules: (policy: Policy, families: readonly Family[]) => void
  readonly report: (status: Status, memory: Memory, triggers: readonly Trigger[]) => void
}

export type Loop = Health & {
  /** The backend that the last pass worked on. */
  readonly backend: () => Backend | undefined
  /** One pass. Never rejects for what can happen on a node; says whether it ought to be tried again soon. */
  readonly pass: (triggers: readonly Trigger[]) => Promise<{ readonly retry: boolean }>
}

/** A pass takes milliseconds; with every command timing out it still ends within this time. */
const longestPassMs = 5 * 60_000

/** Holds what one pass leaves for the next. */
export function createLoop(effects: LoopEffects): Loop {
  let memory: Memory = noMemory
  let status: Status | undefined
  let startedAt: number | undefined

  const run = async (triggers: readonly Trigger[]) => {
    try {
      const result = await reconcile(memory, triggers, effects)
      announceNewRules(memory, result.memory, effects.onNewRules)
      memory = result.memory
      status = result.status
      return { retry: Object.values(memory.families).some(({ error }) => error !== undefined) }
    } catch (error) {
      if (!isExpected(error)) throw error
      status = deriveStatus({ ...memory, families: {}, failure: error })
      return { retry: true }
    }
  }
  return {
    async pass(triggers) {
      startedAt = performance.now()
      const result = await run(triggers)
      startedAt = undefined
      if (status !== undefined) effects.report(status, memory, triggers)
      return result
    },
    backend: () => memory.backend,
    ailment() {
      const hangs = startedAt !== undefined && performance.now() - startedAt > longestPassMs
      return hangs ? 'a pass does not come to its end' : undefined
    },
    unready() {
      if (status === undefined) return 'no pass has ended yet'
      return isVerified(memory, status) ? undefined : `${status.state}: ${status.message}`
    },
  }
}

/** A restart that finds its rules in force, or drift that was healed, is no change of rules. */
function announceNewRules(before: Memory, after: Memory, announce: LoopEffects['onNewRules']): void {
  const wanted = after.decision?.wanted
  if (wanted?.kind !== 'policy' || wanted === before.decision?.wanted) return
  const last = before.decision?.wanted
  if (last?.kind === 'policy' && last.policy === wanted.policy) return
  const written = families.filter((family) => {
    const outcome = after.families[family]
    return outcome?.wrote === true && outcome.seen?.asWanted === true
  })
  if (written.length > 0) announce(wanted.policy, written)
}

/** Whether what should be in force is, even if newer rulesets have errors. */
function isVerified({ decision, families }: Memory, { state }: Status): boolean {
  if (state === 'Degraded' || decision === undefined || decision.wanted.kind === 'whatever is there')
    return false
  return Object.values(families).every(({ seen }) => seen?.asWanted === true)
}
