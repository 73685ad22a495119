import { OutsideError } from '../errors.ts'
import type { Family } from '../ruleset/address.ts'
import { isOurSet, isSetOf } from './ipset-text.ts'

/** Our sets in the kernel, by name. */
export type SavedSets = ReadonlyMap<string, SavedSet>

export const noSets: SavedSets = new Map()

/** Those of one family, by their names. */
export function setsOfFamily(sets: SavedSets, family: Family): SavedSets {
  return new Map([...sets].filter(([name]) => isSetOf(name, family)))
}

export type SavedSet = {
  /** `hash:net`, unless somebody else has made it. */
  readonly type: string
  /** Absent for types that have none. */
  readonly family?: Family
  readonly maxelem: number
  /** What it was created with beyond sizes, such as `timeout 300`: ours have nothing. */
  readonly options: string
  /** How many elements it holds. */
  readonly size: number
  /** How many rules use it. */
  readonly references: number
  /** As `ipset save` prints them; absent when only the header was read. */
  readonly elements?: ReadonlySet<string>
}

/** The answer was not whole: what is in the kernel is unknown, neither "in sync" nor "absent". */
export class UnreadableIpsetsError extends OutsideError {
  override readonly name = 'UnreadableIpsetsError'
}

/** All sets of a network namespace, as far as they were listed. */
export type SetList = {
  /** Ours. */
  readonly sets: SavedSets
  /** How many elements the sets of everybody hold. */
  readonly total: number
}

/**
 * Parses what `ipset list`, with or without `-terse`, printed of all sets, and keeps ours.
 *
 * @throws {UnreadableIpsetsError} when the text ends early, or one of our sets is not described as it should be
 */
export function parseList(text: string): SetList {
  if (text === '') return { sets: new Map(), total: 0 }
  const sets = new Map<string, SavedSet>()
  let total = 0
  let isWhole = false
  for (const block of text.slice(0, -1).split('\n\n')) {
    const [head = '', members] = block.split(/\nMembers:(?:\n|$)/, 2)
    const name = /^Name: (.*)$/m.exec(head)?.[1]
    const size = Number(/\nNumber of entries: (\d+)$/.exec(head)?.[1])
    if (name === undefined) throw unreadable(block)
    const elements = members === undefined ? undefined : members.split('\n').filter((line) => line !== '')
    isWhole = size === (elements?.length ?? size)
    total += size
    if (isOurSet(name)) sets.set(name, parseSet(head, elements))
  }
  if (!isWhole || !text.endsWith('\n')) {
    throw new UnreadableIpsetsError('reading the sets: the list ends early')
  }
  for (const [name, set] of sets) checkSize(name, set)
  return { sets, total }
}

function parseSet(head: string, elements: readonly string[] | undefined): SavedSet {
  const header = parseHeader(head)
  return elements === undefined ? header : { ...header, elements: new Set(elements) }
}

const headerPattern =
  /^Name: .*\nType: (?<type>\S+)\n(?:.*\n)*?Header: (?<options>.*)\n(?:.*\n)*?References: (?<references>\d+)\nNumber of entries: (?<size>\d+)$/

function parseHeader(block: string): SavedSet {
  const { type, options, references, size } = headerPattern.exec(block)?.groups ?? {}
  if (type === undefined || options === undefined) throw unreadable(block)
  const inet = /\bfamily (inet6?)\b/.exec(options)?.[1]
  return {
    type,
    ...(inet === undefined ? {} : { family: inet === 'inet' ? 'ipv4' : 'ipv6' }),
    maxelem: Number(/\bmaxelem (\d+)\b/.exec(options)?.[1] ?? 0),
    options: options.replaceAll(/\b(family|hashsize|maxelem|bucketsize|initval) \S+ ?/g, '').trim(),
    references: Number(references),
    size: Number(size),
  }
}

/**
 * Adds the elements to the headers of those sets that `ipset save` printed.
 *
 * @throws {UnreadableIpsetsError} when it does not have as many elements as the header says: then one of the two
 *   is not whole, or somebody has changed the set in between
 */
export function parseElements(text: string, headers: SavedSets): SavedSets {
  const sets = new Map(headers)
  let elements = new Set<string>()
  for (const line of linesOf(text)) {
    const [verb, name] = line.split(' ', 2)
    const header = headers.get(name ?? '')
    if (name === undefined || header === undefined) throw unreadable(line)
    if (verb === 'create') {
      elements = new Set()
      sets.set(name, { ...header, elements })
    } else if (verb === 'add' && sets.get(name)?.elements === elements) {
      elements.add(line.slice('add '.length + name.length + 1))
    } else throw unreadable(line)
  }
  for (const [name, set] of sets) checkSize(name, set)
  return sets
}

function checkSize(name: string, { size, elements }: SavedSet): void {
  if (elements === undefined || elements.size === size) return
  throw new UnreadableIpsetsError(
    `reading set ${name}: found ${elements.size} elements, expected the ${size} that its header tells of`,
  )
}

/** One by one, as there may be very many. */
function* linesOf(text: string): Generator<string> {
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = text.indexOf('\n', start)
    if (end === -1) throw new UnreadableIpsetsError('reading the sets: the answer ends within a line')
    yield text.slice(start, end)
  }
}

function unreadable(text: string): UnreadableIpsetsError {
  return new UnreadableIpsetsError(`reading the sets: found ${JSON.stringify(text.slice(0, 200))}`)
}
