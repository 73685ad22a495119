import { isExpected, messageOf } from '../errors.ts'
import type { Parsed, SourceFile } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import type { Generation, Journal, Quarantined, Trial, Wide } from './generation.ts'

/** What outlives the process: a folder on the host, or nothing at all. */
export type Store = {
  readonly read: () => Promise<Stored>
  readonly saveLastGood: (generation: Generation) => Promise<void>
  readonly saveJournal: (journal: Journal) => Promise<void>
}

export type Stored = Journal & {
  readonly lastGood?: Generation
  /** What could not be used, each a sentence. */
  readonly problems: readonly string[]
}

/** Where nothing may be kept: the next agent knows of nothing that this one has confirmed or rolled back. */
export const noStore: Store = {
  read: async () => ({ quarantined: [], problems: [] }),
  saveLastGood: async () => {},
  saveJournal: async () => {},
}

/** A generation as it is needed to resolve it again. */
export type Kept = { readonly hash: string; readonly parsed: Parsed; readonly labels: Labels }

/** What is tried, or was confirmed. */
export type Subject = Kept & {
  readonly files: readonly SourceFile[]
  /** Sets of the cluster by which its failsafes are narrow. */
  readonly narrowed: readonly string[]
}

/** The generation that was confirmed last, and what is told of others, in memory and in the store. */
export type Keeping = {
  readonly lastGoodHash: () => string | undefined
  /** By which sets its failsafes were narrow; undefined: by all that can be. */
  readonly narrowed: () => readonly string[] | undefined
  /** Parsed when it is first asked for: an agent that finds its rules confirmed never needs it. */
  readonly lastGood: () => Kept | undefined
  readonly keepLastGood: (subject: Subject, confirmedAt: string) => Promise<void>
  /** Whether the store has it too. */
  readonly hasLastGood: () => boolean
  readonly trial: () => Trial | undefined
  readonly quarantined: (hash: string) => Quarantined | undefined
  readonly note: (change: {
    readonly trial: Trial | undefined
    readonly quarantined?: Quarantined
    readonly wide?: Wide
  }) => Promise<void>
  /** Why the failsafes of some rulesets stay wide. */
  readonly wide: (hash: string) => Wide | undefined
  /** Whether connections that rules of a rollback let in are still to be cut. */
  readonly owesCut: () => boolean
  readonly noteCut: () => Promise<void>
  readonly mode: () => string | undefined
  readonly noteMode: (mode: string | undefined) => Promise<void>
  /** Saves what could not be saved before, if there is any. */
  readonly catchUp: () => Promise<void>
  readonly problems: () => readonly string[]
}

type Unsaved = { readonly problem: string; readonly save: () => Promise<void> }

/** Older ones are forgotten: their text has changed long since. */
const mostQuarantined = 20

/**
 * Opens what the store holds. A store that fails later costs what it would have kept until it works again, and is told
 * of: the rules of now matter more than those of the next start.
 */
export async function createKeeping(
  store: Store,
  parse: (files: readonly SourceFile[]) => Parsed,
): Promise<Keeping> {
  const { lastGood, problems, ...rest } = await store.read()
  let journal: Journal = rest
  /** Its files may be large: they go as soon as they are parsed, or of no use any more. */
  let unparsed = lastGood
  let hash = lastGood?.hash
  let narrowed = lastGood?.narrowed
  let kept: Kept | undefined
  let unsaved: { readonly lastGood?: Unsaved; readonly journal?: Unsaved } = {}

  const attemptTo = async (part: 'lastGood' | 'journal', save: () => Promise<void>) => {
    try {
      await save()
      const { [part]: _, ...others } = unsaved
      unsaved = others
    } catch (error) {
      if (!isExpected(error)) throw error
      unsaved = { ...unsaved, [part]: { problem: messageOf(error), save } }
    }
  }
  let writing: Promise<void> = Promise.resolve()
  /** One after the other: what was noted last is what stays. */
  const write = async (next: Journal) => {
    journal = next
    const written = writing.then(async () => attemptTo('journal', async () => store.saveJournal(journal)))
    writing = written.catch(() => {})
    await written
  }
  const parseStored = (): Kept | undefined => {
    const generation = unparsed
    unparsed = undefined
    if (generation === undefined) return undefined
    return { hash: generation.hash, parsed: parse(generation.files), labels: generation.labels }
  }
  return {
    lastGoodHash: () => hash,
    narrowed: () => narrowed,
    lastGood: () => (kept ??= parseStored()),
    async keepLastGood({ files, ...next }, confirmedAt) {
      const { labels } = next
      narrowed = next.narrowed
      kept = next
      unparsed = undefined
      hash = next.hash
      await attemptTo('lastGood', async () =>
        store.saveLastGood({ hash: next.hash, files, labels, narrowed: next.narrowed, confirmedAt }),
      )
    },
    hasLastGood: () => unsaved.lastGood === undefined,
    trial: () => journal.trial,
    quarantined: (wanted) => journal.quarantined.find((each) => each.hash === wanted),
    wide: (wanted) => (journal.wide?.hash === wanted ? journal.wide : undefined),
    async note({ trial, quarantined, wide = journal.wide }) {
      const others = journal.quarantined.filter((each) => each.hash !== quarantined?.hash)
      const list = quarantined === undefined ? others : [quarantined, ...others].slice(0, mostQuarantined)
      const { mode } = journal
      const uncut = journal.uncut === true || quarantined !== undefined
      await write({
        ...(trial === undefined ? {} : { trial }),
        quarantined: list,
        ...(wide === undefined ? {} : { wide }),
        ...(uncut ? { uncut } : {}),
        ...(mode === undefined ? {} : { mode }),
      })
    },
    owesCut: () => journal.uncut === true,
    async noteCut() {
      const { uncut, ...rest } = journal
      if (uncut === true) await write(rest)
    },
    mode: () => journal.mode,
    async noteMode(mode) {
      const { mode: _, ...rest } = journal
      await write({ ...rest, ...(mode === undefined ? {} : { mode }) })
    },
    async catchUp() {
      for (const part of ['lastGood', 'journal'] as const) {
        const left = unsaved[part]
        if (left !== undefined) await attemptTo(part, left.save)
      }
    },
    problems: () => [...problems, ...Object.values(unsaved).map(({ problem }) => problem)],
  }
}
