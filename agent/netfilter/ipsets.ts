import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import type { Ipset } from './ipset-text.ts'
export type SavedSet = { readonly count: number; readonly elements?: ReadonlySet<string> }
export type SavedSets = ReadonlyMap<string, SavedSet>
export const noSets: SavedSets = new Map()
export type Ipsets = {
  read(family: Family): Promise<SavedSets>
  prepare(sets: readonly Ipset[], present: SavedSets): Promise<void>
  destroyUnused(keep: ReadonlySet<string>, present: SavedSets): Promise<void>
}
export function createIpsets(_exec: Exec): Ipsets {
  return { read: async () => noSets, prepare: async () => {}, destroyUnused: async () => {} }
}
