import type { Difference } from './compare.ts'
import type { Ipset } from './ipset-text.ts'
import type { SavedSets } from './ipsets.ts'
export function compareSets(_wanted: readonly Ipset[], _present: SavedSets): Difference[] {
  return []
}
