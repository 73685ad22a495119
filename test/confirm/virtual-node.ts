import { setImmediate } from 'node:timers/promises'
import { OutsideError } from '../../agent/errors.ts'
import { createTrials } from '../../agent/confirm/trials.ts'
import type { InForce, Trials } from '../../agent/confirm/trials.ts'
import type { Turn } from '../../agent/rollout/gate.ts'
import type { Generation, Journal, Quarantined, Wide } from '../../agent/confirm/generation.ts'
import { createKeeping } from '../../agent/confirm/keeping.ts'
import type { Store } from '../../agent/confirm/keeping.ts'
import type { Policy } from '../../agent/policy/policy.ts'
import type { Probe } from '../../agent/probes/probe.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { Ruleset } from '../../agent/ruleset/ruleset.ts'
import { rulesetOf } from '../kernel/enforce.ts'

/** Text of rulesets; its name is what the virtual kernel holds once it is in force. */
export type Text = { readonly name: string; readonly comment?: string }

/** A node whose kernel is one word: the name of the rulesets in force. */
export type VirtualNode = {
  /** What the kernel holds. */
  readonly kernel: () => string
  /** Everything it ever held, in order. */
  readonly history: readonly string[]
  write(text: Text | 'broken' | 'nothing'): void
  /** Passes until none is due. */
  run(): Promise<void>
  /** One pass. */
  pass(): Promise<void>
  /** The deadline of the probes that run is over. */
  expire(): Promise<void>
  /** SIGKILL, and another agent begins. */
  restart(): Promise<void>
  /** The next pass finds other members of a set, and writes. */
  learn(): void
  /** Sets of the cluster become known: narrow failsafes stand behind the name in the kernel, as in `good by nodes`. */
  know(...sets: readonly string[]): void
  /** Whose failsafes stay wide. */
  readonly wide: Wide[]
  readonly trials: () => Trials
  /** Nearly full: there is room for the journal, not for rulesets. */
  readonly disk: { lastGood?: Generation; journal: Journal; full: boolean | 'nearly' }
  readonly rolledBack: Quarantined[]
  readonly confirmed: string[]
  /** What the others are told. */
  readonly outcomes: string[]
  turn: Turn
  /** Probes that do not work, whatever is in force. */
  readonly ailing: Set<string>
  /** The kernel takes no commits of these families. */
  readonly refusing: Set<string>
  /** The kernel takes commits of these families, and what it holds then cannot be read. */
  readonly unreadable: Set<string>
}

/** @param cuts which probes do not work while rulesets of a name are in force */
export async function createVirtualNode(
  cuts: (inForce: string, probe: string) => boolean,
  probeNames: readonly string[] = ['api server', 'lease'],
  first = 'none',
): Promise<VirtualNode> {
  const kernel = new Map([
    ['ipv4', first],
    ['ipv6', first],
  ])
  const history = [first]
  const disk: VirtualNode['disk'] = { journal: { quarantined: [] }, full: false }
  const rolledBack: Quarantined[] = []
  const wide: Wide[] = []
  const confirmed: string[] = []
  const outcomes: string[] = []
  const ailing = new Set<string>()
  const refusing = new Set<string>()
  const unreadable = new Set<string>()
  let deadlines: AbortController[] = []
  let written: Text | 'broken' | 'nothing' = 'nothing'
  const due = { isDue: false }
  let hasLearnt = false
  let known: readonly string[] = []
  let trials: Trials

  const works = (probe: string) =>
    !ailing.has(probe) && ![...kernel.values()].some((inForce) => cuts(inForce, probe))
  const probesFor = (): Probe[] =>
    probeNames.map((name) => {
      const attempt = async () => {
        if (!works(name)) throw new Error('no answer')
      }
      return { name, before: attempt, after: attempt }
    })
  const results = async (probes: readonly Probe[], ask: (probe: Probe) => Promise<void>) =>
    Promise.all(
      probes.map(async (probe) => {
        const { name } = probe
        return ask(probe).then(
          () => ({ name }),
          (error: unknown) => ({ name, failure: String(error) }),
        )
      }),
    )
  const save = async (part: 'lastGood' | 'journal', change: () => void) => {
    if (disk.full === true || (disk.full === 'nearly' && part === 'lastGood'))
      throw new DiskFullError('no space left on device')
    change()
  }
  const store: Store = {
    read: async () => ({ ...disk.journal, ...(disk.lastGood && { lastGood: disk.lastGood }), problems: [] }),
    saveLastGood: async (generation) => save('lastGood', () => (disk.lastGood = generation)),
    saveJournal: async (journal) => save('journal', () => (disk.journal = journal)),
  }
  const open = async () =>
    createTrials(await createKeeping(store, parseRulesets), {
      probesFor,
      before: async (probes, signal) => results(probes, async (probe) => probe.before(signal)),
      async after(probes, time, off) {
        const signal = AbortSignal.any([time, off])
        const failed = await results(probes, async (probe) => probe.after(signal))
        if (failed.every((result) => !('failure' in result))) return failed
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return results(probes, async (probe) => probe.after(signal))
      },
      timeout() {
        const deadline = new AbortController()
        deadlines.push(deadline)
        return deadline.signal
      },
      deadlineMs: 30_000,
      turnOf: (_, bare) => (bare ? { kind: 'go' } : node.turn),
      onOutcome: ({ hash }, outcome) => void outcomes.push(`${hash} ${outcome}`),
      waitFor: async (promise) => promise,
      onChange: () => (due.isDue = true),
      onConfirmed: (hash) => void confirmed.push(hash),
      onWide: (one) => void wide.push(one),
      onRolledBack: (quarantined) => void rolledBack.push(quarantined),
      now: () => new Date(0),
    })
  const rulesetOfKernel = (text: string) => text.split(' by ')[0] ?? ''
  const put = (name: string): InForce[] => {
    const isNew = hasLearnt
    hasLearnt = false
    return [...kernel].map(([family, before]) => {
      if (refusing.has(family)) {
        const failure = 'the kernel refused it'
        return {
          family,
          ruleset: rulesetOfKernel(before),
          asWanted: before === name,
          wrote: false,
          ...(before === name ? {} : { failure }),
        }
      }
      kernel.set(family, name)
      if (history.at(-1) !== name) history.push(name)
      if (unreadable.has(family)) {
        const failure = 'it cannot be read back'
        return { family, asWanted: false, wrote: false, failure, ...(before !== name && { mayHold: true }) }
      }
      return { family, ruleset: rulesetOfKernel(name), asWanted: true, wrote: isNew || before !== name }
    })
  }
  const commit = async (name: string) => {
    if (hasLearnt || [...kernel.values()].some((before) => before !== name)) await trials.noted()
    return put(name)
  }
  const node: VirtualNode = {
    kernel: () => [...new Set(kernel.values())].join(' / '),
    history,
    disk,
    rolledBack,
    confirmed,
    outcomes,
    ailing,
    refusing,
    unreadable,
    turn: { kind: 'go' },
    trials: () => trials,
    write: (text) => void (written = text),
    learn: () => void (hasLearnt = true),
    know: (...sets) => void (known = sets),
    wide,
    async pass() {
      due.isDue = false
      const { files, rulesets, problems } = filesOf(written)
      const hash = rulesets[0]?.name
      const choice = await trials.choose({
        decision: {
          wanted:
            written === 'broken'
              ? { kind: 'whatever is there' }
              : hash === undefined
                ? { kind: 'nothing' }
                : { kind: 'policy', policy: { hash, failsafesBy: known } as unknown as Policy },
          rulesets,
          problems,
        },
        files,
        labels: {},
      })
      const wanted =
        choice.kind === 'candidate'
          ? (hash ?? 'none')
          : choice.kind === 'standing'
            ? (choice.parsed.rulesets[0]?.name ?? 'none')
            : undefined
      const isNarrow = known.length > 0 && wanted !== 'none' && 'widens' in choice && !choice.widens
      const by = isNarrow ? ` by ${known.join(' and ')}` : ''
      const inForce =
        wanted === undefined
          ? [...kernel].map(([family, text]) => ({
              family,
              ruleset: rulesetOfKernel(text),
              asWanted: false,
              wrote: false,
            }))
          : await commit(`${wanted}${by}`)
      await trials.catchUp()
      await trials.settle(inForce)
    },
    async run() {
      let passes = 0
      do {
        passes += 1
        if (passes > 50) throw new Error('passes without an end')
        await node.pass()
        // What follows by itself, as probes that answer at once, is done by then.
        await setImmediate()
      } while (due.isDue)
    },
    async expire() {
      const running = deadlines
      deadlines = []
      for (const deadline of running) deadline.abort()
      await trials.settled()
      await node.run()
    },
    async restart() {
      trials.stop()
      deadlines = []
      trials = await open()
      await node.run()
    },
  }
  trials = await open()
  return node
}

class DiskFullError extends OutsideError {
  override readonly name = 'DiskFullError'
}

function filesOf(text: Text | 'broken' | 'nothing') {
  if (text === 'broken' || text === 'nothing') return { files: [], rulesets: [] as Ruleset[], problems: [] }
  const body = `# ${text.comment ?? ''}\n${rulesetOf({ defaults: { ingress: 'drop' } }, text.name)}`
  const files = [{ path: 'rules.yaml', bytes: Buffer.from(body) }]
  return { files, ...parseRulesets(files) }
}
