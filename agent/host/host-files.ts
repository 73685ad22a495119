import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'

/** Where the agent keeps on the host what has to outlive it. */
export const defaultStateFolder = '/var/lib/node-firewall'

const ownFile = /^\.?(?:last-good|journal|trial|quarantine|generation|boot)|^(?:mode|lock)$/

/**
 * Removes what the agent has written to its state folder, and the folder when nothing of anybody else is in it; returns
 * the names of what it removed. A folder that is not there has nothing to remove.
 */
export async function removeStateFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(nothingThere)
  const own = (names ?? []).filter((name) => ownFile.test(name))
  for (const name of own) await rm(join(folder, name), { recursive: true, force: true })
  await rmdir(folder).catch(inUse)
  return own
}

/** In a container the folder is a mount, and stays. */
function inUse(error: unknown): void {
  if (!['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EROFS', 'EACCES'].includes(codeOf(error) ?? ''))
    throw error
}

function nothingThere(error: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) throw error
}
