import type { Probe, ProbeResult } from '../probes/probe.ts'
import type { Turn } from '../rollout/gate.ts'
import type { Parsed } from '../ruleset/parse.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { Labels } from '../ruleset/select.ts'
import { createAttempt } from './attempt.ts'
import type { Attempt, AttemptEffects } from './attempt.ts'
import { digestOf, noRulesets, subjectOf } from './candidate.ts'
import type { Candidate } from './candidate.ts'
import { createConclude } from './conclude.ts'
import type { ConcludeEffects } from './conclude.ts'
import type { Quarantined, Trial, Wide } from './generation.ts'
import type { Keeping, Kept, Subject } from './keeping.ts'

/** What a pass is to put in force; `widens`: with failsafes that are as wide as if nothing were known of the cluster. */
export type Choice =
  | { readonly kind: 'candidate'; readonly widens: boolean }
  /** Rulesets of before, which were confirmed, with the labels that chose them. */
  | { readonly kind: 'standing'; readonly parsed: Parsed; readonly labels: Labels; readonly widens: boolean }
  | { readonly kind: 'whatever is there' }

/** What a pass has left in the kernel of one family. */
export type InForce = {
  readonly family: string
  /** Hash of the rulesets that were read back; `none`: there are none; absent: it could not be read. */
  readonly ruleset?: string
  readonly asWanted: boolean
  readonly wrote: boolean
  /** What was written was not read back, so it may be there all the same. */
  readonly mayHold?: true
  readonly failure?: string
}

/** Where the rulesets as they are written now stand, if they are not simply in force. */
export type Progress =
  | { readonly kind: 'wait' | 'stopped'; readonly hash: string; readonly message: string }
  | {
      readonly kind: 'confirming'
      readonly hash: string
      /** Else it is still being asked what works before it. */
      readonly isInForce: boolean
      readonly probes: readonly string[]
    }
  | { readonly kind: 'rolled back'; readonly hash: string; readonly quarantined: Quarantined }

export type TrialEffects = AttemptEffects &
  ConcludeEffects & {
    /** What has to work after a change to these rulesets; made anew for each change. */
    readonly probesFor: (rulesets: readonly Ruleset[]) => readonly Probe[]
    /** `bare`: this node has nothing in force that it could stay with. */
    readonly turnOf: (change: Kept, bare: boolean) => Turn
    /** Called after each pass that found a change confirmed, or quarantined. */
    readonly onOutcome: (change: Kept, outcome: 'confirmed' | 'rolled-back') => void
    /** Waits for a promise, for so many ms at most. */
    readonly waitFor: (promise: Promise<void>, ms: number) => Promise<void>
  }

export type Trials = {
  /** What should be in force in this pass. */
  readonly choose: (candidate: Candidate) => Promise<Choice>
  /** Asked before anything is written; resolves when the next agent would know of what was chosen. */
  readonly noted: () => Promise<void>
  /** Takes note of what the pass has left in force. */
  readonly settle: (inForce: readonly InForce[]) => Promise<void>
  /** Saves what could not be saved in passes before. */
  readonly catchUp: () => Promise<void>
  readonly progress: () => Progress | undefined
  /** Whether what a rollback has let in, perhaps of an agent before, is still to be cut. */
  readonly owesCut: () => boolean
  /** It was. */
  readonly noteCut: () => Promise<void>
  /** What is wrong with what is kept on the host, each a sentence. */
  readonly problems: () => readonly string[]
  /** Resolves when no probe is under way; to whether another pass is needed. */
  readonly settled: () => Promise<boolean>
  /** What is tried stays in force; the next agent goes on with it. */
  readonly stop: () => void
}

/** Where the API server answers as fast as it should, an edit need not wait for a second pass. */
const patienceMs = 150

/**
 * Decides, pass by pass, between rulesets as they are written now and those that were confirmed last: new ones are
 * tried when it is this node's turn, probed, and then kept or rolled back. What worked before the change and does not
 * work at the deadline rolls it back; what did not work before cannot.
 */
export function createTrials(keeping: Keeping, effects: TrialEffects): Trials {
  const conclude = createConclude(keeping, effects)
  let attempt: Attempt | undefined
  let progress: Progress | undefined
  let latest: readonly InForce[] | undefined
  /** Families that were as wanted before the change. */
  let soundBefore: readonly string[] = []
  /** What the kernel may hold without that anybody has confirmed it, and which probes worked before it. */
  let unconfirmed: Pick<Trial, 'hash' | 'passedBefore'> | undefined = keeping.trial()
  let subject: Subject | undefined
  let isDue = false
  /** What stands is put in force first. */
  let mustAskAgain = false
  /** Whether it is the attempt's subject that the pass under way puts in force, and not what it is to replace. */
  let isChosen = false
  /** A pass waits here for what may change: it need not be asked for another one. */
  let isWaiting = false

  const onChange = () => {
    if (isWaiting) return
    isDue = true
    effects.onChange()
  }
  const endAttempt = () => {
    attempt?.end()
    attempt = undefined
  }
  const standing = (): Choice => {
    const kept = keeping.lastGood()
    if (kept === undefined) return { kind: 'whatever is there' }
    return { kind: 'standing', parsed: kept.parsed, labels: kept.labels, widens: untried().length > 0 }
  }
  /** Sets that have become known since the rules were confirmed, by which nobody has tried narrow failsafes. */
  const untried = () => {
    const tried = keeping.narrowed()
    return tried === undefined ? [] : (subject?.narrowed ?? []).filter((set) => !tried.includes(set))
  }
  const begin = (next: Subject): Attempt => {
    endAttempt()
    if (unconfirmed === undefined) {
      soundBefore = (latest ?? []).filter(({ asWanted }) => asWanted).map(({ family }) => family)
    }
    const { hash } = next
    const onReady = async (passedBefore: readonly string[]) => {
      const narrows = hash === keeping.lastGoodHash() ? { narrows: true as const } : {}
      const startedAt = effects.now().toISOString()
      await keeping.note({ trial: { hash, passedBefore, ...narrows, startedAt } })
    }
    const createProbes = () => (hash === noRulesets.hash ? [] : effects.probesFor(next.parsed.rulesets))
    const knownBefore = unconfirmed?.passedBefore
    return createAttempt({ subject: next, createProbes, knownBefore, onReady }, { ...effects, onChange })
  }
  const rollBack = async (failed: Attempt) => {
    const [first] = [...failed.failures(), ...brokenFamilies(latest, soundBefore)]
    endAttempt()
    await conclude.rolledBack(asItIsNow(failed.subject), first)
  }
  const confirm = async (passed: Attempt) => {
    endAttempt()
    unconfirmed = undefined
    progress = undefined
    await conclude.confirmed(asItIsNow(passed.subject))
  }
  /** A comment may have changed in the middle, which is no other try, and more of the cluster have become known. */
  const asItIsNow = (tried: Subject): Subject => (subject?.hash === tried.hash ? subject : tried)
  /** Why the candidate is not even tried now; undefined: it is. */
  const obstacleFor = (change: Subject, isBack: boolean): Progress | 'read back first' | undefined => {
    const { hash, files } = change
    if (hash === keeping.lastGoodHash()) {
      return latest === undefined && unconfirmed === undefined ? 'read back first' : undefined
    }
    const quarantined = keeping.quarantined(hash)
    if (quarantined !== undefined && quarantined.text === digestOf(files))
      return { kind: 'rolled back', hash, quarantined }
    // Else one edit after another could keep a node cut off for as long as they come.
    if (isBack) return 'read back first'
    if (attempt?.subject.hash === hash || hash === noRulesets.hash) return undefined
    const turn = effects.turnOf(change, [undefined, noRulesets.hash].includes(keeping.lastGoodHash()))
    if (turn.kind !== 'go') return { ...turn, hash }
    // Whatever an agent before has left must not stand when it is asked what works before the change.
    const isUnseen = latest === undefined && unconfirmed === undefined
    return isUnseen && keeping.lastGoodHash() !== undefined ? 'read back first' : undefined
  }

  return {
    async choose(candidate) {
      progress = undefined
      isDue = false
      mustAskAgain = false
      isChosen = false
      const isBack = attempt?.phase() === 'failed'
      if (attempt !== undefined && isBack) await rollBack(attempt)
      await conclude.endRollback(unconfirmed?.hash)
      subject = subjectOf(candidate, subject)
      if (subject === undefined) {
        endAttempt()
        return standing()
      }
      const { hash } = subject
      const isKept = hash === keeping.lastGoodHash()
      if (isKept && (untried().length === 0 || keeping.wide(hash) !== undefined)) {
        endAttempt()
        return { kind: 'candidate', widens: untried().length > 0 }
      }
      const obstacle = obstacleFor(subject, isBack)
      if (obstacle !== undefined) {
        endAttempt()
        mustAskAgain = isDue = obstacle === 'read back first'
        progress =
          obstacle === 'read back first'
            ? { kind: 'confirming', hash, isInForce: false, probes: [] }
            : obstacle
        return isKept ? { kind: 'candidate', widens: true } : standing()
      }
      if (attempt?.subject.hash !== hash) attempt = begin(subject)
      const patience = attempt.asks ? patienceMs : Infinity
      isWaiting = true
      if (attempt.phase() === 'asking') await effects.waitFor(attempt.settled(), patience)
      isWaiting = false
      const isInForce = attempt.phase() !== 'asking'
      progress = { kind: 'confirming', hash, isInForce, probes: attempt.passedBefore() }
      isChosen = isInForce
      if (isInForce) return { kind: 'candidate', widens: false }
      return isKept ? { kind: 'candidate', widens: true } : standing()
    },
    async noted() {
      // Whatever becomes of the pass: rules that are found later were not there before the change.
      if (isChosen && attempt !== undefined) unconfirmed ??= trialOf(attempt)
      await attempt?.noted()
    },
    async settle(inForce) {
      await attempt?.noted()
      latest = inForce
      const holds = isChosen && inForce.some(({ ruleset }) => ruleset === attempt?.subject.hash)
      // What cannot be read may cut the node off all the same: the time runs.
      const mayHold = holds || (isChosen && inForce.some((each) => each.mayHold === true))
      if (attempt?.phase() === 'ready' && mayHold) {
        const isOld = unconfirmed === undefined && inForce.every(({ wrote, asWanted }) => asWanted && !wrote)
        unconfirmed = trialOf(attempt)
        if (isOld) attempt.pass()
        else attempt.begin()
      } else if (isTried(attempt) && inForce.some(({ wrote }) => wrote)) {
        // Members of a set became known, or drift was healed: what has passed so far met other rules.
        attempt.begin()
      }
      if (attempt?.phase() === 'passed' && holds && brokenFamilies(inForce, soundBefore).length === 0) {
        await confirm(attempt)
      }
      // The probes may have passed after the deadline, which they are given so as to be made at all.
      attempt?.expire()
      const isConfirmed = attempt === undefined && keeping.lastGoodHash() !== undefined
      if (isConfirmed && inForce.every(({ asWanted }) => asWanted)) {
        unconfirmed = undefined
        if (keeping.trial() !== undefined) await conclude.crossOff()
      }
      if (subject !== undefined && progress?.kind === 'rolled back') effects.onOutcome(subject, 'rolled-back')
      else if (subject !== undefined && subject.hash === keeping.lastGoodHash())
        effects.onOutcome(subject, 'confirmed')
      if (mustAskAgain) effects.onChange()
    },
    catchUp: keeping.catchUp,
    progress: () => progress,
    owesCut: keeping.owesCut,
    noteCut: keeping.noteCut,
    problems: () => [...keeping.problems(), ...describeWide(subject && keeping.wide(subject.hash))],
    async settled() {
      await attempt?.settled()
      return isDue
    },
    stop: endAttempt,
  }
}

/** Whatever the rulesets say is put in force at once, and nothing is kept: for who only compares. */
export const noTrials: Trials = {
  choose: async () => ({ kind: 'candidate', widens: false }),
  noted: async () => {},
  settle: async () => {},
  catchUp: async () => {},
  progress: () => undefined,
  owesCut: () => false,
  noteCut: async () => {},
  problems: () => [],
  settled: async () => false,
  stop: () => {},
}

function describeWide(wide: Wide | undefined): string[] {
  if (wide === undefined) return []
  return [
    `failsafes stay as wide as if nothing were known of the cluster: with narrow ones ${wide.probe} failed: ${wide.reason}; they are not tried again until the rulesets change`,
  ]
}

function trialOf({ subject, passedBefore }: Attempt): Pick<Trial, 'hash' | 'passedBefore'> {
  return { hash: subject.hash, passedBefore: passedBefore() }
}

function isTried(attempt: Attempt | undefined): attempt is Attempt {
  return attempt?.phase() === 'probing' || attempt?.phase() === 'passed'
}

function brokenFamilies(
  inForce: readonly InForce[] | undefined,
  soundBefore: readonly string[],
): ProbeResult[] {
  return (inForce ?? [])
    .filter(({ family, asWanted }) => !asWanted && soundBefore.includes(family))
    .map(({ family, failure = 'it is not in force' }) => ({ name: family, failure }))
}
