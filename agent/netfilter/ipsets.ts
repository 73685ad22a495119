import { OutsideError } from '../errors.ts'
import type { Exec } from '../host/exec.ts'
import type { Family } from '../ruleset/address.ts'
import { compareSets, isSameType, isSound } from './ipset-compare.ts'
import { parseElements, parseList, setsOfFamily, UnreadableIpsetsError } from './ipset-read.ts'
import type { SavedSets } from './ipset-read.ts'
import { changeText, createText, isStaticName, replaceText, temporaryName } from './ipset-text.ts'
import type { Ipset } from './ipset-text.ts'

/** The sets of this firewall in one network namespace. Those of others are never touched. */
export type Ipsets = {
  /**
   * Reads the headers of our sets, of one family if it is named; and the elements of all of them when asked to be
   * thorough or when they are few, else at least of those sets that change by element. Changes nothing. The other family
   * may be at work on its own sets meanwhile, so nothing is asked about them; unless it waits to read them too.
   *
   * @throws {UnreadableIpsetsError} when the answer is not whole, or changes while it is read
   * @throws {CommandError} when the command fails
   */
  read(options?: ReadOptions): Promise<SavedSets>
  /**
   * Makes the sets that are missing and repairs those that differ from what should be in them. A set that is new
   * or static is always whole for the packets that meet it; the others change element by element.
   *
   * @param present what was read last
   * @returns whether anything was written
   * @throws {CommandError} when the kernel refused something; the sets after it are then as they were
   */
  prepare(sets: readonly Ipset[], present: SavedSets): Promise<boolean>
  /**
   * Removes our sets that are not to be kept. Those that a rule uses are left.
   *
   * @param present what was read last
   * @throws {CommandError} when the command fails for any other reason
   */
  destroyUnused(keep: ReadonlySet<string>, present: SavedSets): Promise<Destroyed>
}

export type Destroyed = { readonly destroyed: readonly string[]; readonly inUse: readonly string[] }

/** Reading as many elements takes a few ms. */
const fewElements = 2_000

type ReadOptions = { readonly thorough?: boolean; readonly family?: Family }

/** @param read runs programs that change nothing; perhaps several as one */
export function createIpsets(exec: Exec, read: Exec = exec): Ipsets {
  const takeTurn = createTurns()
  const ipset = async (args: readonly string[], input?: string) =>
    exec('ipset', args, input === undefined ? {} : { input })
  const restore = async (input: string, ...options: string[]) =>
    takeTurn(async () => ipset([...options, 'restore'], input))
  // Never by `ipset restore`: when the agent is killed while it writes, a line without its name destroys all sets.
  const destroy = async (name: string) => takeTurn(async () => ipset(['destroy', name]))
  /** How many elements the sets of everybody had when they were read last. */
  let lastTotal = Infinity
  const list = async (...options: string[]): Promise<SavedSets> => {
    const { sets, total } = parseList((await read('ipset', ['list', ...options])).stdout)
    lastTotal = total
    return sets
  }
  const readFor = async (asked: readonly ReadOptions[]): Promise<SavedSets> => {
    if (lastTotal <= fewElements) {
      try {
        return await list()
      } catch (error) {
        // Comments on elements of others may hold anything, be it an empty line.
        if (!(error instanceof UnreadableIpsetsError)) throw error
      }
    }
    const all = await list('-terse')
    const parts = asked.map((options) => partOf(all, options))
    const names = new Set(parts.flatMap(({ withElements }) => withElements))
    const headers = new Map(parts.flatMap((part) => [...part.headers]))
    if (names.size === 0) return headers
    // One process for all; unlike `ipset save` without a name it leaves out the sets of others.
    const { stdout } = await ipset(['restore'], [...names].map((name) => `save ${name}\n`).join(''))
    return parseElements(stdout, headers)
  }
  /** Those that wait for the same reading: IPv4 and IPv6 ask at the same time, and each process costs. */
  let asked: ReadOptions[] = []
  let reading: Promise<SavedSets> | undefined
  return {
    async read(options = {}) {
      asked.push(options)
      reading ??= takeTurn(async () => {
        const all = asked
        asked = []
        reading = undefined
        return readFor(all)
      })
      const sets = await reading
      return options.family === undefined ? sets : setsOfFamily(sets, options.family)
    },
    async prepare(sets, present) {
      const differing = sets.filter((set) => compareSets([set], ofName(set.name, present)).length > 0)
      const made = differing.filter((set) => !isChanged(set, present))
      lastTotal += made.reduce((sum, { cidrs }) => sum + cidrs.length, 0)
      for (const name of made.flatMap((set) => inTheWay(set, present))) await destroy(name)
      const fill = made.map((set) => fillText(set, present)).join('')
      const change = differing.map((set) => elementsText(set, present)).join('')
      if (fill !== '') await restore(fill)
      for (const set of made) if (isSwapped(set, present)) await destroy(temporaryName(set.name))
      // Who adds what is there already has what he wanted; a foreign element that is gone is gone.
      if (change !== '') await restore(change, '-exist')
      return differing.length > 0
    },
    async destroyUnused(keep, present) {
      const destroyed: string[] = []
      const inUse: string[] = []
      for (const name of [...present.keys()].filter((each) => !keep.has(each))) {
        const obstacle = await obstacleOf(destroy(name))
        if (obstacle === undefined) destroyed.push(name)
        else if (obstacle === 'in use') inUse.push(name)
      }
      return { destroyed, inUse }
    },
  }
}

/** The headers that somebody asks for, and names of those sets whose elements he wants as well. */
function partOf(all: SavedSets, { thorough = false, family }: ReadOptions) {
  const headers = family === undefined ? all : setsOfFamily(all, family)
  const total = headers.values().reduce((sum, { size }) => sum + size, 0)
  const isWanted = (name: string) => thorough || total <= fewElements || !isStaticName(name)
  return { headers, withElements: [...headers.keys()].filter(isWanted) }
}

/**
 * One after the other. While any set is listed the kernel refuses to rename, swap or destroy it, and IPv4 and IPv6 are
 * at work side by side.
 */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return async (work) => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
}

function ofName(name: string, present: SavedSets): SavedSets {
  const saved = present.get(name)
  return saved === undefined ? new Map() : new Map([[name, saved]])
}

/** Sets that must go before one is made: what is left of an earlier attempt, and what the kernel does not swap. */
function inTheWay(set: Ipset, present: SavedSets): string[] {
  const { name } = set
  return [temporaryName(name), ...(isSwapped(set, present) ? [] : [name])].filter((each) => present.has(each))
}

/** What makes a set anew, in place of the one that may be there. */
function fillText(set: Ipset, present: SavedSets): string {
  return isSwapped(set, present) ? replaceText(set) : createText(set)
}

/** The kernel does not swap sets of different types; it also refuses to destroy the one that a rule uses. */
function isSwapped(set: Ipset, present: SavedSets): boolean {
  const saved = present.get(set.name)
  return saved !== undefined && isSameType(set, saved)
}

function elementsText(set: Ipset, present: SavedSets): string {
  return isChanged(set, present) ? changeText(set, present.get(set.name)?.elements ?? new Set()) : ''
}

/** Whether a set is to be changed element by element. */
function isChanged(set: Ipset, present: SavedSets): boolean {
  const saved = present.get(set.name)
  return saved?.elements !== undefined && isSound(set, saved) && !isStaticName(set.name)
}

/** Why a set was not destroyed, where that is no failure. */
async function obstacleOf(attempt: Promise<unknown>): Promise<'in use' | 'gone' | undefined> {
  try {
    await attempt
    return undefined
  } catch (error) {
    if (!(error instanceof OutsideError)) throw error
    if (error.message.includes('in use by a kernel component')) return 'in use'
    if (error.message.includes('does not exist')) return 'gone'
    throw error
  }
}
