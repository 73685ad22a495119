import { setTimeout as pause } from 'node:timers/promises'
import type { Keeping } from '../confirm/keeping.ts'
import { createTrials } from '../confirm/trials.ts'
import type { TrialEffects, Trials } from '../confirm/trials.ts'

export type TrialsOptions = Pick<
  TrialEffects,
  'probesFor' | 'before' | 'after' | 'turnOf' | 'deadlineMs' | 'onChange' | 'onConfirmed' | 'onRolledBack'
>

/** Trials in real time. Deadlines are measured by a clock that nobody can set. */
export function openTrials(keeping: Keeping, options: TrialsOptions): Trials {
  return createTrials(keeping, {
    ...options,
    timeout: (ms) => AbortSignal.timeout(ms),
    waitFor: async (promise, ms) => (ms === Infinity ? promise : Promise.race([promise, pause(ms)])),
    now: () => new Date(),
  })
}
