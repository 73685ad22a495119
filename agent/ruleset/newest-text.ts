/**
 * Which of two witnesses has the newer text. Both follow one history of edits, each at its own pace and only forward:
 * the API, and the mounted files, which come a minute later, but also where the API server is out of reach. A text is
 * known by its digest, and may come back: digests alone do not tell newer from older.
 */
export type Texts = {
  /** What the API has shown, the oldest first. */
  readonly shown: readonly Shown[]
  /** The mount has come at least as far as this one of `shown`; -1: nobody knows. */
  readonly reached: number
  /** The text of the mounted files, and since when, in ms; `-Infinity`: since before anybody looked. */
  readonly mount?: { readonly digest: string; readonly since: number }
  readonly chosen: 'mount' | 'api'
  /** The mount has another text, and it cannot be told from here whether that is newer. */
  readonly unclear: boolean
}

export type Shown = {
  readonly digest: string
  /** When it was there already, in ms. */
  readonly at: number
  /** Nothing came between the one before and this one. */
  readonly follows: boolean
}

/** What a read of the API has found. */
export type Found = {
  readonly digest: string
  readonly follows: boolean
  /** It is at least as new as whatever was written before this moment; 0: before the process started. */
  readonly asOf: number
  /** When it was there already, in ms: now, or earlier. */
  readonly at: number
}

export const noTexts: Texts = { shown: [], reached: -1, chosen: 'mount', unclear: false }

/**
 * So many ms lie at most between the time when a text was the newest and the time when a kubelet swaps the files for
 * it: it syncs each pod every 60 to 90 s, and may keep what it has read for 5 minutes (`configMapAndSecretChangeDetection
 * Strategy: Cache`, in clusters of more than 2,000 nodes).
 */
export const mountLagMs = 10 * 60_000

/** More edits than these in `mountLagMs` are not told apart. */
const mostShown = 32

/** The mounted files were read. */
export function seeMount(texts: Texts, digest: string, now: number): Texts {
  if (texts.mount?.digest === digest) return texts
  const since = texts.mount === undefined ? -Infinity : now
  const { shown } = texts
  const reached = reachedBy(texts, digest, since)
  const next = { ...texts, mount: { digest, since }, reached, unclear: false }
  // It only moves forward: newer than the API before, newer still now.
  if (texts.chosen === 'mount') return next
  if (shown.at(-1)?.digest === digest) return next
  // A kubelet that was restarted may fall back to a former text: where it can be asked, the API server decides.
  if (shown.some((one) => one.digest === digest) || mayBePassing(next)) return { ...next, unclear: true }
  return { ...next, chosen: 'mount' }
}

/** The API was read. What may be older than the mount's newer text changes nothing: see `asksApi`. */
export function seeApi(texts: Texts, { digest, follows, asOf, at }: Found): Texts {
  const isNewest = texts.mount === undefined || asOf >= texts.mount.since
  if (texts.chosen === 'mount' && !isNewest) return texts
  const unclear = texts.unclear && !isNewest && texts.mount?.digest !== digest
  const next = { ...texts, chosen: 'api' as const, unclear }
  // A text that came back is another one than the same text before: the mount may be on its way in between.
  if (follows && texts.shown.at(-1)?.digest === digest) return next
  const shown = [...texts.shown, { digest, at, follows: follows && texts.shown.length > 0 }]
  const forgotten = Math.max(0, shown.length - mostShown)
  return {
    ...next,
    shown: shown.slice(forgotten).map((one, index) => (index === 0 ? { ...one, follows: false } : one)),
    reached: Math.max(-1, texts.reached - forgotten),
  }
}

/**
 * The API does not answer: the mount is believed, unless its text may be one of those that came in between. A kubelet
 * would have swapped such a text for a newer one by and by.
 */
export function missApi(texts: Texts, now: number): Texts {
  const { unclear, mount } = texts
  if (!unclear || mount === undefined) return texts
  if (mayBePassing(texts) && now < mount.since + mountLagMs) return texts
  return { ...texts, chosen: 'mount', unclear: false }
}

/** Whether the API ought to be asked for its newest: only what is read after the files were swapped is surely newer. */
export function asksApi({ chosen, unclear, mount, shown }: Texts): boolean {
  if (unclear) return true
  return chosen === 'mount' && mount !== undefined && (shown.length > 0 || mount.since !== -Infinity)
}

export function chosenDigest({ chosen, shown, mount }: Texts): string | undefined {
  return chosen === 'api' ? shown.at(-1)?.digest : mount?.digest
}

/** How far the mount has come at least when it shows this text from this moment on. */
function reachedBy({ shown, reached }: Texts, digest: string, since: number): number {
  const inTime = shown.findLastIndex(({ at }) => at + mountLagMs <= since)
  const least = Math.max(reached, inTime)
  const found = shown.findIndex((one, index) => index > least && one.digest === digest)
  // Among texts that nobody has seen there may have been the same one.
  const isSure = found !== -1 && shown.slice(least + 1, found + 1).every(({ follows }) => follows)
  return isSure ? found : least
}

/** Whether the mount may be at a text that came before the API's newest one, be it that the API has not shown it. */
function mayBePassing({ shown, reached, mount }: Texts): boolean {
  const isBehind = shown.some(({ digest }, index) => index >= reached && digest === mount?.digest)
  return isBehind || shown.slice(reached + 1).some(({ follows }) => !follows)
}
