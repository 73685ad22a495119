/** Versions are decimal numbers from one counter; one that is not is never newer. */
export function isNewerVersion(version: string, than: string): boolean {
  return BigInt(asNumber(version)) > BigInt(asNumber(than))
}

function asNumber(version: string): string {
  return /^\d+$/.test(version) ? version : '0'
}
