import { rename, rm, writeFile } from 'node:fs/promises'

/** Replaces a file as a whole, so that who reads it never sees half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path)
  try {
    await writeFile(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    // Half a file takes room on a disk that may be full.
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
}

/** Removes a file, and what a process that was killed while it replaced the file has left beside it. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(temporaryName(path), { force: true })
}

function temporaryName(path: string): string {
  return `${path}.tmp`
}
