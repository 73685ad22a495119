import { isExpected } from '../errors.ts'
import type { Backend } from '../netfilter/backend.ts'
import { reconcile } from '../reconcile.ts'
import { noMemory } from '../pass.ts'
import type { Effects, Memory, Trigger } from '../pass.ts'
import { deriveStatus } from '../status/derive.ts'
import type { Status } from '../status/status.ts'
import type { Health } from '../telemetry/health.ts'

export type LoopEffects = Effects & {
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
      memory = result.memory
      status = result.status
      return { failed: false, retry: Object.values(memory.families).some(({ error }) => error !== undefined) }
    } catch (error) {
      if (!isExpected(error)) throw error
      status = deriveStatus({ ...memory, families: {}, failure: error })
      return { failed: true, retry: true }
    }
  }
  return {
    async pass(triggers) {
      startedAt = performance.now()
      const result = await run(triggers)
      startedAt = undefined
      // A pass that came to nothing has done nothing: what the one before did was told then.
      const done = result.failed ? { ...memory, families: {} } : memory
      if (status !== undefined) effects.report(status, done, triggers)
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

/** Whether what should be in force is, even if newer rulesets have errors. */
function isVerified({ decision, families }: Memory, { state }: Status): boolean {
  if (state === 'Degraded' || decision === undefined || decision.wanted.kind === 'whatever is there')
    return false
  return Object.values(families).every(({ seen }) => seen?.asWanted === true)
}
