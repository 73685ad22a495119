import * as z from 'zod'
import type { Generation, Journal } from '../confirm/generation.ts'

/**
 * A generation as bytes: a line of JSON, and then the files one after another as they are, so that they need not be
 * copied or escaped. Files that could not be read are left out.
 */
export function encodeGeneration({
  hash,
  files,
  labels,
  narrowed,
  confirmedAt,
}: Generation): readonly Uint8Array[] {
  const kept = files.flatMap((file) => ('bytes' in file ? [file] : []))
  const listed = kept.map(({ path, kind, bytes }) => ({
    path,
    ...(kind === undefined ? {} : { kind }),
    bytes: bytes.byteLength,
  }))
  const line = JSON.stringify({ hash, labels, narrowed, confirmedAt, files: listed })
  return [Buffer.from(`${line}\n`), ...kept.map(({ bytes }) => bytes)]
}

/** The inverse. The bytes of the files are parts of the content, not copies. */
export function decodeGeneration(content: Buffer): Generation | { readonly problem: string } {
  const end = content.indexOf('\n')
  const line = decode(generationLine, content.subarray(0, Math.max(end, 0)))
  if ('problem' in line) return line
  let at = end + 1
  const files = line.files.map(({ bytes, ...file }) => {
    at += bytes
    return { ...file, bytes: content.subarray(at - bytes, at) }
  })
  return at === content.byteLength
    ? { ...line, files }
    : { problem: `found ${content.byteLength - end - 1} bytes of files, expected ${at - end - 1}` }
}

/** Only what a journal is made of: a value of this type may carry more, such as all that was read with it. */
export function encodeJournal({ trial, quarantined, wide, uncut, mode }: Journal): readonly Uint8Array[] {
  return [Buffer.from(`${JSON.stringify({ trial, quarantined, wide, uncut, mode })}\n`)]
}

export function decodeJournal(content: Buffer): Journal | { readonly problem: string } {
  return decode(journalLine, content)
}

const generationLine = z.object({
  hash: z.string(),
  labels: z.record(z.string(), z.string()),
  narrowed: z.array(z.string()).exactOptional(),
  confirmedAt: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      kind: z.literal('data').exactOptional(),
      bytes: z.int().nonnegative(),
    }),
  ),
})

const journalLine = z.object({
  trial: z
    .object({
      hash: z.string(),
      passedBefore: z.array(z.string()),
      narrows: z.literal(true).exactOptional(),
      startedAt: z.string(),
    })
    .exactOptional(),
  quarantined: z.array(
    z.object({
      hash: z.string(),
      text: z.string(),
      probe: z.string(),
      reason: z.string(),
      at: z.string(),
    }),
  ),
  wide: z.object({ hash: z.string(), probe: z.string(), reason: z.string(), at: z.string() }).exactOptional(),
  uncut: z.literal(true).exactOptional(),
  mode: z.string().exactOptional(),
})

function decode<Shape extends z.ZodType>(
  shape: Shape,
  line: Buffer,
): z.infer<Shape> | { readonly problem: string } {
  let value: unknown
  try {
    value = JSON.parse(line.toString())
  } catch {
    return { problem: 'found a line that is not JSON, expected what this version writes' }
  }
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0] ?? { path: [], message: '' }
  return { problem: `found a content of another shape, expected ${path.join('.')}: ${message}` }
}
