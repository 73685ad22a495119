import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { codeOf, messageOf } from '../errors.ts'

/** What is in a file, or why that cannot be told; nothing where there is no such file. */
export type Unsealed = Buffer | { readonly problem: string } | undefined

/** Replaces a file as `replaceDurably` does, under a first line that holds its version, size and SHA-256. */
export async function writeSealed(file: string, chunks: readonly Uint8Array[]): Promise<void> {
  await replaceDurably(file, [firstLine(chunks), ...chunks])
}

/**
 * Replaces a file as a whole. Makes the folder where it is missing. Rejects with the error of the system call that
 * failed; the file is then what it was before.
 *
 * Whenever the power fails there is the old file or the new one: the content reaches the disk before the name does
 * (a rename alone may be written first, and then leads to an empty file), and the folder, which holds the name, is
 * written too before this resolves; see fsync(2) and rename(2).
 */
export async function replaceDurably(file: string, chunks: readonly Uint8Array[]): Promise<void> {
  const folder = dirname(file)
  const made = await makeFolder(folder)
  if (made !== undefined) await syncFolder(dirname(made))
  const temporary = temporaryName(file)
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(chunks)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
  await syncFolder(folder)
}

/** Reads a file and holds it against its first line. Never rejects for what can be there. */
export async function readSealed(file: string): Promise<Unsealed> {
  let handle: FileHandle | undefined
  try {
    // A pipe would otherwise keep the call until somebody writes to it.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    return await unseal(handle)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return codeOf(error) === 'ENOENT' ? undefined : { problem: `cannot be read: ${messageOf(error)}` }
  } finally {
    await handle?.close()
  }
}

/** Removes what writers that were killed have left beside files of these names. */
export async function removeTemporaries(folder: string, names: readonly string[]): Promise<string[]> {
  const entries = await readdir(folder)
  const left = entries.filter((entry) => names.includes(TEMPORARY.exec(entry)?.groups?.['name'] ?? ''))
  await Promise.all(left.map(async (entry) => rm(join(folder, entry), { force: true })))
  return left
}

const version = 1

/** No file gets a longer one: three short fields. */
const longestFirstLine = 256

const firstLineFields = z.object({
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

function firstLine(chunks: readonly Uint8Array[]): Buffer {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  return Buffer.from(`${JSON.stringify({ version, bytes, sha256: digest(chunks) })}\n`)
}

async function unseal(handle: FileHandle): Promise<Exclude<Unsealed, undefined>> {
  const found = await handle.stat()
  if (!found.isFile()) {
    return { problem: `found ${found.isDirectory() ? 'a folder' : 'no file'}, expected a file` }
  }
  const start = await readFully(handle, longestFirstLine, 0)
  const end = start.indexOf('\n')
  const line = readFirstLine(start.subarray(0, Math.max(end, 0)).toString())
  if ('problem' in line) return line
  // Before the memory for it is taken: a damaged line may name any number.
  const size = found.size - end - 1
  if (size !== line.bytes) {
    return { problem: `found ${size} bytes after the first line, expected the ${line.bytes} that it names` }
  }
  const content = await readFully(handle, size, end + 1)
  return digest([content]) === line.sha256
    ? content
    : { problem: 'found a content that does not match the SHA-256 of the first line' }
}

function readFirstLine(text: string): z.infer<typeof firstLineFields> | { readonly problem: string } {
  const fields = parseJson(text)
  const { data: head } = z.object({ version: z.unknown() }).safeParse(fields)
  if (head?.version !== undefined && head.version !== version) {
    return { problem: `found version ${JSON.stringify(head.version)}, expected version ${version}` }
  }
  const { data } = firstLineFields.safeParse(fields)
  return head?.version === version && data !== undefined
    ? data
    : { problem: 'found no first line with version, bytes and sha256, expected one' }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Reads as many bytes as there are, up to a number of them. */
async function readFully(handle: FileHandle, bytes: number, from: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  let filled = 0
  while (filled < bytes) {
    const { bytesRead } = await handle.read(buffer, filled, bytes - filled, from + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

function digest(chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/**
 * Makes a folder, and those above it that are missing; returns the uppermost one it made. The recursive mkdir of Node.js
 * hides why it fails: of a read-only file system it says that a folder does not exist.
 */
async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    if (await makeOne(folder)) return folder
    return undefined
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  const above = await makeFolder(dirname(folder))
  const isNew = await makeOne(folder)
  return above ?? (isNew ? folder : undefined)
}

/** Resolves to whether it was missing. */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Another one each time: two writers must never share a file, or one would rename what the other has half written. */
function temporaryName(file: string): string {
  return `${file}.${randomBytes(4).toString('hex')}.tmp`
}

const TEMPORARY = /^(?<name>.+)\.[0-9a-f]{8}\.tmp$/
