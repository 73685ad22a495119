import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { codeOf, messageOf } from '../errors.ts'
import { watchFolder } from './watch-folder.ts'

/** What a person on the host wants instead of what the rulesets say, or why that cannot be told. */
export type ModeFile = { readonly mode: 'off' | 'audit' } | { readonly problem: string }

/** The file that switches the firewall off where the API server cannot: `echo off > /var/lib/node-firewall/mode`. */
export function modeFileIn(stateFolder: string): string {
  return join(stateFolder, modeFile)
}

export const modeFile = 'mode'

/**
 * Reads the file. Nothing is asked for when it is missing, empty, or says `enforce`; of what else it may say comes a
 * problem that tells what was found. Never rejects for what can be there.
 */
export async function readModeFile(file: string): Promise<ModeFile | undefined> {
  let text = await readStart(file)
  if (text === '') {
    // The shell empties a file before it writes to it; `off` after `audit` must not be `enforce` in between.
    await setTimeout(emptyMs)
    text = await readStart(file)
  }
  if (typeof text !== 'string') return text
  const mode = text.trim()
  if (mode === '' || mode === 'enforce') return undefined
  if (mode === 'off' || mode === 'audit') return { mode }
  return { problem: `${file}: found ${quote(mode)}, expected off or audit` }
}

/**
 * Calls back when the file appears, changes or goes, however it is written: in place or by a rename, in a folder that
 * exists or not yet. Calls back once when the watch stands, since until then a change may have been missed.
 *
 * @returns a function that ends the watch
 */
export function watchModeFile(
  stateFolder: string,
  { onChange, onError }: { onChange: () => void; onError: (error: unknown) => void },
): () => Promise<void> {
  const watched = new Set([stateFolder, modeFileIn(stateFolder)])
  return watchFolder(stateFolder, {
    onChange(path) {
      if (watched.has(path)) onChange()
    },
    onError,
    onReady: onChange,
  })
}

const emptyMs = 100

/** More than any mode; what is longer is cut, and then shown as what was found. */
const longest = 64

async function readStart(file: string): Promise<string | { readonly problem: string } | undefined> {
  let handle: FileHandle | undefined
  try {
    // A pipe would otherwise keep the call until somebody writes to it.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!(await handle.stat()).isFile()) return { problem: `${file}: found no file, expected one` }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(longest), 0, longest, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return codeOf(error) === 'ENOENT'
      ? undefined
      : { problem: `${file}: cannot be read: ${messageOf(error)}` }
  } finally {
    await handle?.close()
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 20 ? `${text.slice(0, 20)}…` : text)
}
