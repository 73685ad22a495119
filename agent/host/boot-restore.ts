import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'
import { bootText } from '../netfilter/boot-text.ts'
import type { BootState } from '../netfilter/boot-text.ts'
import { bootScript } from './boot-script.ts'
import { removeTemporaries, replaceDurably, writeSealed } from './sealed-file.ts'

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
  await removeTemporaries(folder, [bootFile, bootScriptFile]).catch(noFolder)
  if (state === undefined) return rm(file, { force: true })
  await replaceDurably(join(folder, bootScriptFile), [Buffer.from(bootScript)])
  await writeSealed(file, [Buffer.from(bootText(state))])
}

function noFolder(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error
}
