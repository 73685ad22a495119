import type { Dataplane } from './bypass/dataplane.ts'
import { choose, override } from './confirm/choose.ts'
import type { InForce } from './confirm/trials.ts'
import { isExpected, messageOf } from './errors.ts'
import type { Backend } from './netfilter/backend.ts'
import { otherBackend } from './netfilter/backend.ts'
import { clearOther } from './netfilter/clear.ts'
import { keepFamily } from './netfilter/keep-family.ts'
import type { LogTarget } from './netfilter/log-text.ts'
import { readLogTarget } from './netfilter/standing-log-target.ts'
import { decide } from './policy/decide.ts'
import type { Decision, Known, Wanted } from './policy/decide.ts'
import type { NodeFacts } from './policy/policy.ts'
import { families } from './ruleset/address.ts'
import { deriveStatus } from './status/derive.ts'
import type { FactsSeen } from './status/knowledge.ts'
import { recordDrift } from './status/drift.ts'
import type { Status } from './status/status.ts'
import type { Trigger, Effects, Memory } from './pass.ts'

/**
 * One pass: source, parse, select, resolve, compile, apply, verify, report. Whatever led to it, it does the
 * same; what is in force already is not written again.
 *
 * @throws {CommandError} when not even the backend can be told
 */
export async function reconcile(
  memory: Memory,
  triggers: readonly Trigger[],
  effects: Effects,
): Promise<{ memory: Memory; status: Status }> {
  const reasons = new Set(triggers.map(({ reason }) => reason))
  const hurried = triggers.every(({ reason }) => urgent.has(reason))
  const rewrite = reasons.has('reapply')
  const readsAll = rewrite || memory.facts === undefined
  const readingFacts =
    hurried && memory.facts !== undefined ? memory.facts : readFacts(memory, effects, readsAll)
  const [sources, facts] = await Promise.all([effects.readSources(), readingFacts])
  const now = effects.now()
  const known: Known = {
    parsed: effects.parse(sources),
    labels: effects.labels(),
    facts: facts.value,
    cluster: effects.clusterFacts(),
    now: now.getTime(),
  }
  const candidate = decide(memory.candidate, known)
  const overridden = effects.override()
  const decision =
    overridden.override === undefined
      ? await choose(candidate, memory.decision, { known, files: sources }, effects.trials)
      : override(overridden.override, candidate, memory.decision, known)
  if (overridden.override !== undefined) effects.trials.stop()

  const thorough = memory.backend === undefined || reasons.has('verify') || reasons.has('reapply')
  const backend = thorough ? await effects.detectBackend(memory.backend) : memory.backend
  const how = {
    backend,
    rewrite,
    looksCloser: rewrite || memory.backend === undefined,
    mayWrite: effects.trials.noted,
    logTarget: await chooseLogTarget(decision.wanted, backend, effects),
    now: effects.elapsedMs(),
  }
  const kept = await keepFamilies(memory, decision.wanted, how, effects)
  const keptInMs = effects.elapsedMs() - how.now
  const mayClear = !effects.dryRun && Object.values(kept).every(({ seen }) => seen?.asWanted)
  const readOther = async () => (mayClear ? clearOther(effects.tables, otherBackend(backend)) : [])
  const otherRules = thorough ? await readOther() : memory.otherRules

  // Whoever put them in force may have been killed before anything followed.
  const isOwed = effects.trials.owesCut()
  const isTried = effects.trials.progress()?.kind === 'confirming'
  const isResumed = memory.decision === undefined && (isTried || isOwed)
  announceNewRules(memory, { decision, families: kept, isResumed, isOwed }, effects)
  const dataplane = thorough ? await lookBeside(decision, facts.value, effects) : memory.dataplane
  await effects.trials.catchUp()
  if (overridden.override === undefined) await effects.trials.settle(inForce(kept))

  const outcomes = Object.values(kept)
  const next: Memory = {
    candidate,
    decision,
    progress: overridden.override === undefined ? effects.trials.progress() : undefined,
    overridden,
    keptProblems: effects.trials.problems(),
    facts,
    backend,
    source: effects.sourceOf?.(),
    families: kept,
    keptInMs,
    otherRules,
    dataplane,
    drift: recordDrift(memory.drift, kept, {
      at: now.toISOString(),
      by: triggers.find(({ by }) => by)?.by,
    }),
    cut: effects.lastCut(),
    logging: effects.logging?.report(countUnlogged(kept)),
    appliedAt: outcomes.some(({ wrote }) => wrote) ? now.toISOString() : memory.appliedAt,
    verifiedAt: outcomes.every(({ seen }) => seen?.asWanted) ? now.toISOString() : memory.verifiedAt,
  }
  return { memory: next, status: deriveStatus(next) }
}

/** Reasons that say nothing of the node's interfaces, and should not wait for them to be read again. */
const urgent: ReadonlySet<Trigger['reason']> = new Set([
  'drift',
  'files',
  'cluster',
  'cut',
  'confirm',
  'mode',
  'logging',
])

function inForce(kept: Memory['families']): InForce[] {
  return Object.entries(kept).map(([family, { seen, wrote, mayHold, error }]) => ({
    family,
    ...(seen === undefined ? {} : { ruleset: seen.ruleset }),
    asWanted: seen?.asWanted === true,
    wrote,
    ...(mayHold === undefined ? {} : { mayHold }),
    ...(error === undefined ? {} : { failure: error.message }),
  }))
}

type How = {
  readonly backend: Backend
  readonly rewrite: boolean
  readonly looksCloser: boolean
  readonly mayWrite: () => Promise<void>
  readonly logTarget: LogTarget
  readonly now: number
}

function countUnlogged(kept: Memory['families']): number | undefined {
  const counts = Object.values(kept).map(({ seen }) => seen?.unlogged)
  return counts.reduce(
    (sum, count) => (sum === undefined || count === undefined ? undefined : sum + count),
    0,
  )
}

/** Who only compares leaves to the agent what it has chosen. */
async function chooseLogTarget(
  wanted: Wanted,
  backend: Backend,
  { logging, dryRun, tables }: Effects,
): Promise<LogTarget> {
  if (logging !== undefined) return logging.chooseTarget(wanted)
  return dryRun ? readLogTarget(tables, backend) : 'nflog'
}

/** A restart that finds its rules in force and confirmed, or drift that was healed, is no change of rules. */
function announceNewRules(
  before: Memory,
  after: Required<Pick<Memory, 'decision' | 'families'>> & {
    readonly isResumed: boolean
    readonly isOwed: boolean
  },
  effects: Effects,
): void {
  const { wanted } = after.decision
  if (wanted.kind !== 'policy') return
  const last = before.decision?.wanted
  const isSame = wanted === last || (last?.kind === 'policy' && last.policy === wanted.policy)
  const written = families.filter((family) => {
    const outcome = after.families[family]
    // A family that could not be written, or read back, may have taken the rules only now.
    const isNew = !isSame || after.isOwed || before.families[family]?.error !== undefined
    return isNew && (outcome?.wrote === true || after.isResumed) && outcome?.seen?.asWanted === true
  })
  if (written.length > 0) effects.onNewRules(wanted.policy, written)
}

/** What may take packets past the rules, where there are any. */
async function lookBeside(
  { wanted }: Decision,
  facts: NodeFacts | undefined,
  effects: Effects,
): Promise<Dataplane | undefined> {
  if (wanted.kind !== 'policy') return undefined
  return effects.readDataplane([...new Set([...(facts?.external ?? []), ...wanted.policy.external])])
}

/** IPv4 and IPv6 side by side; neither waits for, or fails with, the other. */
async function keepFamilies(
  memory: Memory,
  wanted: Wanted,
  how: How,
  effects: Effects,
): Promise<Memory['families']> {
  const { tables, ipsets, dryRun } = effects
  const outcomes = (await effects.readFamilies()).map(async (family) => {
    // What was seen in another backend says nothing of this one.
    const last = how.backend === memory.backend ? memory.families[family] : undefined
    return [family, await keepFamily(last, { ...how, tables, ipsets, dryRun, wanted, family })] as const
  })
  return Object.fromEntries(await Promise.all(outcomes))
}

/** Interfaces as they are now; where the default route is gone for a while, those that held it stand in. */
async function readFacts(memory: Memory, effects: Effects, thorough: boolean): Promise<FactsSeen> {
  const last = memory.facts?.value
  try {
    const facts = await effects.readFacts(thorough)
    if (facts.external.length > 0 || last === undefined || last.external.length === 0) {
      return { value: facts, warnings: [] }
    }
    const warning = `no interface holds a default route now; ${last.external.join(', ')} did before and is still used`
    return { value: { ...facts, external: last.external }, warnings: [warning] }
  } catch (error) {
    if (!isExpected(error)) throw error
    return { value: last, warnings: [`the interfaces cannot be read: ${messageOf(error)}`] }
  }
}
