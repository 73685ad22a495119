/** The most a Ruleset file may hold; a ConfigMap holds as much in all its keys together. */
export const largestFile = 1024 * 1024

/** The most an address list may hold: a ConfigMap holds 1 MiB, but a file of a plain host may be larger. */
export const largestDataFile = 16 * largestFile

/** Decodes UTF-8 text of at most so many bytes, strictly. */
export function decodeText(bytes: Uint8Array, largest: number): string | { readonly error: string } {
  if (bytes.byteLength > largest) return { error: tooLarge(bytes.byteLength, largest) }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { error: 'found bytes that are not UTF-8, expected a text file' }
  }
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text)
    ? { error: 'found control characters, expected a text file' }
    : text
}

export function tooLarge(bytes: number, largest: number): string {
  return `found a file of ${bytes} bytes, expected at most ${largest} (${largest / largestFile} MiB)`
}
