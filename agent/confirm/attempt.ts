import type { Probe, ProbeResult } from '../probes/probe.ts'
import type { Subject } from './keeping.ts'

/** Runs probes side by side; rejects for nothing that probes do. */
export type RunProbes = (probes: readonly Probe[], signal: AbortSignal) => Promise<readonly ProbeResult[]>

export type AttemptEffects = {
  /** Each once. */
  readonly before: RunProbes
  /** Each until it passes, or the time is over, but once in any case; `off` calls them off. */
  readonly after: (
    probes: readonly Probe[],
    time: AbortSignal,
    off: AbortSignal,
  ) => Promise<readonly ProbeResult[]>
  /** Aborts after so many ms. */
  readonly timeout: (ms: number) => AbortSignal
  /** How long a change may take to be confirmed. */
  readonly deadlineMs: number
  /** Called when the phase has changed by itself. */
  readonly onChange: () => void
}

/**
 * - asking: the probes run before the change.
 * - ready: to be put in force.
 * - probing: in force, and the probes run.
 * - passed: all probes that worked before the change work; whether the kernel holds it all is still to be seen.
 * - failed: the deadline is over.
 */
export type Phase = 'asking' | 'ready' | 'probing' | 'passed' | 'failed'

/** One change that is tried. */
export type Attempt = {
  readonly subject: Subject
  /** Whether anybody is asked before the change; else only the journal is written. */
  readonly asks: boolean
  readonly phase: () => Phase
  readonly passedBefore: () => readonly string[]
  readonly failures: () => readonly ProbeResult[]
  /**
   * It is in force now: the probes begin, and the time runs. Called again, they begin anew: what passed before goes for
   * nothing, and there is no more time than there was.
   */
  readonly begin: () => void
  /** Nothing is to be probed: there was no change. */
  readonly pass: () => void
  readonly end: () => void
  /** Resolves when what works before the change is noted; the change waits for it. */
  readonly noted: () => Promise<void>
  /** Called when what passed could not be confirmed: if the time is over, that is final. */
  readonly expire: () => void
  /** Resolves when it can go on without time passing. */
  readonly settled: () => Promise<void>
}

export type AttemptOptions = {
  readonly subject: Subject
  /** Makes them anew: they remember what they saw first. */
  readonly createProbes: () => readonly Probe[]
  /** Names of the probes that worked before the change, where that is known; else they are asked. */
  readonly knownBefore: readonly string[] | undefined
  /** Called when that is known. */
  readonly onReady: (passedBefore: readonly string[]) => Promise<void>
}

/** Begins to try a change: asks what works before it. */
export function createAttempt(
  { subject, createProbes, knownBefore, onReady }: AttemptOptions,
  effects: AttemptEffects,
): Attempt {
  const ending = new AbortController()
  let phase: Phase = 'asking'
  let passedBefore: readonly string[] = knownBefore ?? []
  let failures: readonly ProbeResult[] = []
  let probes = createProbes()
  let deadline: AbortSignal | undefined
  let round = new AbortController()
  let noted = Promise.resolve()

  const enter = (next: Phase) => {
    if (ending.signal.aborted) return
    phase = next
    effects.onChange()
  }
  const ask = async () => {
    if (knownBefore === undefined) {
      const results = await effects.before(probes, ending.signal)
      passedBefore = results.flatMap(({ name, failure }) => (failure === undefined ? [name] : []))
      if (ending.signal.aborted) return
    }
    noted = onReady(passedBefore)
    enter('ready')
  }
  const startTime = () => {
    const time = effects.timeout(effects.deadlineMs)
    // Also where all probes pass: the kernel may still refuse a part of it.
    // A timer holds on to who listens, and an attempt to all rules that it is about: long after it has ended.
    const { signal } = ending
    time.addEventListener('abort', () => phase === 'passed' && enter('failed'), { once: true, signal })
    return time
  }
  const probe = async (due: readonly Probe[], time: AbortSignal, { signal }: AbortController) => {
    const results = await effects.after(due, time, AbortSignal.any([ending.signal, signal]))
    if (signal.aborted) return
    failures = results.filter(({ failure }) => failure !== undefined)
    enter(failures.length > 0 ? 'failed' : 'passed')
  }
  let work = ask()
  return {
    subject,
    asks: knownBefore === undefined && probes.length > 0,
    phase: () => phase,
    passedBefore: () => passedBefore,
    failures: () => failures,
    begin() {
      round.abort()
      round = new AbortController()
      if (deadline !== undefined) probes = createProbes()
      deadline ??= startTime()
      const due = probes.filter(({ name }) => passedBefore.includes(name))
      phase = due.length === 0 ? 'passed' : 'probing'
      if (due.length > 0) work = probe(due, deadline, round)
    },
    pass: () => void (phase = 'passed'),
    noted: async () => noted,
    end: () => ending.abort(),
    expire() {
      if (phase === 'passed' && deadline?.aborted === true) enter('failed')
    },
    settled: async () => work,
  }
}
