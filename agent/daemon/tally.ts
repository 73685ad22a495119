/** Counts by key. */
export type Tally<Key extends string> = {
  add(key: Key): void
  entries(): [string, number][]
}

/** Those keys that are known beforehand begin with 0, so that the first of a kind is seen as a rise. */
export function createTally<Key extends string>(keys: readonly Key[] = []): Tally<Key> {
  const counts = new Map<string, number>(keys.map((key) => [key, 0]))
  return {
    add: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    entries: () => [...counts],
  }
}
