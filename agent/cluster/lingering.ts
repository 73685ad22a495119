/** Values that stay for a while after they have vanished. */
export type Lingering<T> = {
  /** Takes what there is now, at `now` in ms; true when `values` is another one by it. */
  readonly replace: (present: readonly T[], now: number) => boolean
  /** Drops what has been gone for long enough; true when `values` is another one by it. */
  readonly expire: (now: number) => boolean
  /** In the order of their keys; undefined until there ever were any. */
  readonly values: () => readonly T[] | undefined
}

/** Values with the same key are the same; each stays for `keepMs` after it was last there. */
export function createLingering<T>(keyOf: (value: T) => string, keepMs: number): Lingering<T> {
  let kept: Map<string, Kept<T>> | undefined
  const put = (next: Map<string, Kept<T>>) => {
    const last = kept
    kept = next
    return last === undefined || last.size !== next.size || [...next.keys()].some((key) => !last.has(key))
  }
  const lasts = ({ goneAt }: Kept<T>, now: number) => goneAt === undefined || now - goneAt < keepMs
  return {
    replace(present, now) {
      const next = new Map<string, Kept<T>>(present.map((value) => [keyOf(value), { value }]))
      for (const [key, { value, goneAt = now }] of kept ?? []) {
        if (!next.has(key) && lasts({ value, goneAt }, now)) next.set(key, { value, goneAt })
      }
      return put(next)
    },
    expire: (now) => kept !== undefined && put(new Map([...kept].filter(([, entry]) => lasts(entry, now)))),
    values: () => kept && [...kept].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { value }]) => value),
  }
}

type Kept<T> = { readonly value: T; readonly goneAt?: number }
