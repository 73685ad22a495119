import { backoffMs } from './backoff.ts'
import type { Trigger } from './pass.ts'

export type ScheduleOptions = {
  /** One pass; resolves to whether it ought to be tried again soon. Must not reject. */
  readonly pass: (triggers: readonly Trigger[]) => Promise<{ readonly retry: boolean }>
  /** Calls back after so many ms, unless cancelled. */
  readonly timer: (ms: number, callback: () => void) => { cancel(): void }
  /** From 0 to 1, so that nodes that fail together do not return together. */
  readonly random: () => number
}

export type Schedule = {
  /** Asks for a pass. While one runs, all that ask share the next. */
  trigger(trigger: Trigger): void
  /** Takes no more triggers; resolves when the pass that runs has ended. */
  stop(): Promise<void>
}

/** Leads everything that asks for a pass to one pass at a time, and retries failures with growing delays. */
export function createSchedule({ pass, timer, random }: ScheduleOptions): Schedule {
  let waiting: Trigger[] = []
  let running: Promise<void> | undefined
  let retry: { cancel(): void } | undefined
  let failures = 0
  let stopped = false

  const takeAll = () => {
    const triggers = stopped ? [] : waiting
    waiting = []
    return triggers
  }
  const run = async () => {
    for (let triggers = takeAll(); triggers.length > 0; triggers = takeAll()) {
      retry?.cancel()
      const { retry: again } = await pass(triggers)
      failures = again ? failures + 1 : 0
      if (again) retry = timer(backoffMs(failures - 1, random()), () => trigger({ reason: 'retry' }))
    }
    running = undefined
  }
  const trigger = (asked: Trigger) => {
    if (stopped) return
    waiting.push(asked)
    running ??= run()
  }
  return {
    trigger,
    async stop() {
      stopped = true
      retry?.cancel()
      await running
    },
  }
}
