import { once } from 'node:events'
import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Journal } from '../confirm/generation.ts'
import type { Store, Stored } from '../confirm/keeping.ts'
import { codeOf, isExpected, messageOf, OutsideError } from '../errors.ts'
import { bootFile, bootScriptFile } from './boot-restore.ts'
import { modeFile } from './mode-file.ts'
import { serverFile } from './server-file.ts'
import { readSealed, removeTemporaries, writeSealed } from './sealed-file.ts'
import { decodeGeneration, decodeJournal, encodeGeneration, encodeJournal } from './state-content.ts'

/** Where it is unless the user says otherwise. */
export const defaultStateFolder = '/var/lib/node-firewall'

/** A file that could not be written or removed. */
export class StateFolderError extends OutsideError {
  override readonly name = 'StateFolderError'
}

/** A disk may hang, and be it that the rules have cut the node off from it: to take them back must not wait for it. */
const patienceMs = 10_000

export type StateFolderOptions = {
  /** How long a call that saves may take. */
  readonly limitMs?: number
  readonly write?: typeof writeSealed
}

/**
 * What the agent keeps on the host, in a folder that saving makes if need be. Calls are carried out one at a time, in
 * the order they came. Reading never rejects for what can be in the folder; saving rejects with a StateFolderError, also
 * when it takes too long, and what was saved before is then whole.
 */
export function openStateFolder(folder: string, options: StateFolderOptions = {}): Store {
  const { write = writeSealed, limitMs = patienceMs } = options
  const takeTurn = createQueue()
  const save = async (name: Name, chunks: readonly Uint8Array[]) => {
    const file = join(folder, name)
    try {
      // What is left of a write that was cut off may be what fills the disk.
      await removeTemporaries(folder, names).catch(ignoreSystemError)
      await write(file, chunks)
    } catch (error) {
      if (!isExpected(error)) throw error
      throw new StateFolderError(`saving ${file}: ${messageOf(error)}`, { cause: error })
    }
  }
  /** What nobody waits for any more when its turn comes is not begun: it may be old by then. */
  const saveInTime = async (name: Name, chunks: readonly Uint8Array[]) => {
    const over = AbortSignal.timeout(limitMs)
    const overdue = once(over, 'abort').then(() => {
      throw new StateFolderError(`saving ${join(folder, name)}: no end after ${limitMs / 1000} s`)
    })
    const saving = takeTurn(async () => (over.aborted ? undefined : save(name, chunks)))
    await Promise.race([saving, overdue])
  }
  return {
    read: async () =>
      takeTurn(async () => {
        await removeTemporaries(folder, names).catch(ignoreSystemError)
        return readStateFolder(folder)
      }),
    saveLastGood: async (generation) => saveInTime('last-good', encodeGeneration(generation)),
    saveJournal: async (journal) => saveInTime('journal', encodeJournal(journal)),
  }
}

/**
 * Removes our files, and those that people have put there for us, and the folder if nothing else is in it. Returns the
 * paths of what went and what is left.
 */
export async function removeStateFolder(
  folder: string,
): Promise<{ readonly removed: readonly string[]; readonly left: readonly string[] }> {
  try {
    const found = await readdir(folder, { withFileTypes: true })
    const ours = found.filter((entry) => entry.isFile()).map(({ name }) => name)
    const files = ours.filter((name) => removable.includes(name))
    await Promise.all(files.map(async (name) => rm(join(folder, name), { force: true })))
    const temporaries = await removeTemporaries(folder, removable)
    const removed = [...files, ...temporaries].map((name) => join(folder, name))
    const left = (await readdir(folder)).map((name) => join(folder, name))
    if (left.length > 0) return { removed, left }
    return (await removeEmpty(folder)) ? { removed: [...removed, folder], left } : { removed, left: [folder] }
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return { removed: [], left: [] }
    if (!isExpected(error)) throw error
    throw new StateFolderError(`removing ${folder}: ${messageOf(error)}`, { cause: error })
  }
}

const names = ['last-good', 'journal'] as const
type Name = (typeof names)[number]
const removable: readonly string[] = [...names, serverFile, modeFile, bootFile, bootScriptFile]

/** Reads it beside an agent that may be writing, and changes nothing. Never rejects for what can be there. */
export async function readStateFolder(folder: string): Promise<Stored> {
  const problems: string[] = []
  const readOne = async <T extends object>(name: Name, decode: (content: Buffer) => T | Problem) => {
    const file = join(folder, name)
    const content = await readSealed(file)
    const found = Buffer.isBuffer(content) ? decode(content) : content
    if (found === undefined || !('problem' in found)) return found
    problems.push(`${file}: ${found.problem}; it is ignored`)
    return undefined
  }
  const lastGood = await readOne('last-good', decodeGeneration)
  const journal = (await readOne('journal', decodeJournal)) ?? { quarantined: [] }
  const kept = { ...(lastGood === undefined ? {} : { lastGood }), problems }
  // A change is confirmed first and then crossed off: the process may have ended between the two.
  const { trial } = journal
  const isOver = trial !== undefined && trial.narrows !== true && trial.hash === lastGood?.hash
  return { ...(isOver ? withoutTrial(journal) : journal), ...kept }
}

type Problem = { readonly problem: string }

function withoutTrial(journal: Journal): Journal {
  const { trial: _trial, ...rest } = journal
  return rest
}

/** In a container the folder is a mount of its own in a root that is read-only, which only its host can remove. */
async function removeEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
    return true
  } catch (error) {
    if (codeOf(error) === 'EBUSY' || codeOf(error) === 'EROFS') return false
    throw error
  }
}

/** A folder that is missing has no leftovers, and one that cannot be written to is told of when something is saved. */
function ignoreSystemError(error: unknown): void {
  if (codeOf(error) === undefined) throw error
}

function createQueue() {
  let last: Promise<unknown> = Promise.resolve()
  return async <T>(task: () => Promise<T>): Promise<T> => {
    const result = last.then(task)
    last = result.catch(() => {})
    return result
  }
}
