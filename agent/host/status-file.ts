import { rename, rm, writeFile } from 'node:fs/promises'

/** Replaces a file as a whole, so that who reads it never sees half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`
  await writeFile(temporary, text)
  await rename(temporary, path)
}

export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true })
}
