/** The most a Ruleset file may hold; a ConfigMap holds as much in all its keys together. */
export const largestFile = 1024 * 1024

/** Decodes UTF-8 text, strictly. */
export function decodeText(bytes: Uint8Array): string | { readonly error: string } {
  if (bytes.byteLength > largestFile) {
    return { error: `found a file of ${bytes.byteLength} bytes, expected at most ${largestFile} (1 MiB)` }
  }
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
