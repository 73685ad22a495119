import { rename, rm, writeFile } from 'node:fs/promises'

/** Replaces a file as a whole, so that who reads it never sees half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    await writeFile(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    // Half a file takes room on a disk that may be full.
    await removeFile(temporary).catch(() => {})
    throw error
  }
}

export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true })
}
