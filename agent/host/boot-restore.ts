import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { bootText } from '../netfilter/boot-text.ts'
import type { BootState } from '../netfilter/boot-text.ts'
import { bootScript } from './boot-script.ts'

/** In the state folder; the script finds its data beside itself. */
export const bootFile = 'boot-restore'
export const bootScriptFile = `${bootFile}.sh`

/**
 * Keeps in a folder on the host what brings the rules back at its start: call it with what has been confirmed, and
 * with nothing when nothing of ours is to be in force. Each file is replaced as a whole. Rejects with the error of the
 * system call that failed; then what was kept before is still there.
 */
export async function saveBootRestore(folder: string, state: BootState | undefined): Promise<void> {
  const file = join(folder, bootFile)
  if (state === undefined) return rm(file, { force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await replaceDurably(join(folder, bootScriptFile), bootScript)
  await replaceDurably(file, seal(bootText(state)))
}

/** A first line with the size and SHA-256 of what follows: a file that the power cut is not restored. */
function seal(text: string): string {
  const content = Buffer.from(text)
  const sha256 = createHash('sha256').update(content).digest('hex')
  return `${JSON.stringify({ version: 1, bytes: content.byteLength, sha256 })}\n${text}`
}

/** The content is on the disk before the name leads to it, and the name before this resolves; see fsync(2). */
export async function replaceDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`
  await writeAndSync(temporary, text)
  await rename(temporary, file)
  const folder = await open(dirname(file))
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function writeAndSync(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
