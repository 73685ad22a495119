import { readFile } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import type { Format } from '../import/detect-format.ts'
import { importFirewall } from '../import/import-firewall.ts'
import { formatNote, isFaithful } from '../import/note.ts'
import { writeYaml } from '../import/write-yaml.ts'
import { decodeText, largestDataFile } from '../ruleset/text.ts'
import { UsageError } from './usage-error.ts'

export type ImportFlags = {
  readonly format: Format | 'auto'
  /** Name of the ruleset. */
  readonly name?: string
  /** Interfaces that face clients. */
  readonly external?: readonly string[]
}

/**
 * Prints the Ruleset that means what a firewall file means; what it could not carry over goes to stderr and into
 * comments. Returns the exit code: 1 if the ruleset does not mean all that the file means.
 *
 * @throws {UsageError} when the file cannot be read, or the name or an interface is none
 */
export async function runImport(file: string, { format, name, external }: ImportFlags): Promise<number> {
  if (name !== undefined && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
    throw new UsageError(
      `--name: found "${name}", expected at most 63 of a-z 0-9 -, a letter or digit at both ends`,
    )
  }
  const odd = external?.find((one) => !/^([A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{1,14}\+)$/.test(one))
  if (odd !== undefined)
    throw new UsageError(`--external: found "${odd}", expected names of network interfaces`)
  const { document, notes } = importFirewall(await readText(file), {
    ...(format === 'auto' ? {} : { format }),
    ...(name === undefined ? {} : { name }),
    ...(external === undefined ? {} : { external }),
  })
  for (const note of notes) console.error(formatNote(file, note))
  process.stdout.write(writeYaml(document, notes, file))
  return isFaithful(notes) ? 0 : 1
}

async function readText(file: string): Promise<string> {
  try {
    const text = decodeText(await readFile(file), largestDataFile)
    if (typeof text === 'string') return text
    throw new UsageError(`reading ${file}: ${text.error}`)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`reading ${file}: ${messageOf(error)}`, { cause: error })
  }
}
