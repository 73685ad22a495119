import type { Difference } from './compare.ts'
import { formatEntry, isStaticName } from './ipset-text.ts'
import type { Ipset } from './ipset-text.ts'
import type { SavedSet, SavedSets } from './ipset-read.ts'

const mostLines = 10

/** How the sets in the kernel differ from the wanted ones. What was read without elements is judged by its header. */
export function compareSets(wanted: readonly Ipset[], present: SavedSets): Difference[] {
  const names = new Set(wanted.map(({ name }) => name))
  const unwanted = [...present.keys()].filter((name) => !names.has(name))
  return [
    ...wanted.flatMap((set) => compareSet(set, present.get(set.name))),
    ...unwanted.map((name): Difference => {
      return { kind: 'set-unwanted', where: name, message: `set ${name} exists`, lines: [] }
    }),
  ]
}

/** Whether a set is as we make them and has room for what we want; else it cannot be changed, only replaced. */
export function isSound(set: Ipset, saved: SavedSet): boolean {
  return isSameType(set, saved) && saved.options === '' && saved.maxelem >= set.cidrs.length
}

export function isSameType({ family }: Ipset, saved: SavedSet): boolean {
  return saved.type === 'hash:net' && saved.family === family
}

function compareSet(set: Ipset, saved: SavedSet | undefined): Difference[] {
  const { name, cidrs } = set
  const differ = (kind: 'set-missing' | 'set-changed', message: string): Difference[] => [
    { kind, where: name, message, lines: [] },
  ]
  if (saved === undefined) return differ('set-missing', `set ${name} does not exist`)
  if (!isSound(set, saved)) return differ('set-changed', `set ${name} is of another kind`)
  if (set.isUnknown === true) return []
  if (saved.elements !== undefined) return compareElements(set, saved.elements)
  if (saved.size !== cidrs.length) {
    return differ('set-changed', `set ${name} has ${saved.size} elements instead of ${cidrs.length}`)
  }
  if (isStaticName(name)) return []
  // Only the name of a static set tells what it was filled with.
  return differ('set-changed', `the elements of set ${name} are not known`)
}

function compareElements({ name, cidrs }: Ipset, elements: ReadonlySet<string>): Difference[] {
  const wanted = cidrs.map(formatEntry)
  const missing = wanted.filter((entry) => !elements.has(entry))
  if (missing.length === 0 && elements.size === wanted.length) return []
  const foreign = [...elements.difference(new Set(wanted))]
  const counts = [count(missing, 'missing'), count(foreign, 'foreign')].filter(Boolean).join(', ')
  const lines = [
    ...missing.map((entry) => `- add ${name} ${entry}`),
    ...foreign.map((entry) => `+ add ${name} ${entry}`),
  ]
  const message = elements.size === 0 ? `set ${name} is empty` : `set ${name} differs: ${counts}`
  return [{ kind: 'set-changed', where: name, message, lines: lines.slice(0, mostLines) }]
}

function count(entries: readonly string[], adjective: string): string {
  return entries.length === 0
    ? ''
    : `${entries.length} ${adjective} ${entries.length === 1 ? 'element' : 'elements'}`
}
