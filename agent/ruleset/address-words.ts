import type { Family } from './address.ts'

/** How many 32-bit words an address has. */
export const wordsOf = { ipv4: 1, ipv6: 4 } as const satisfies Record<Family, number>

/**
 * Reads an address, a whole text or a part of one, into 32-bit words, the most significant one first. It takes
 * what parseCidr takes (and IPv4-mapped addresses), but says only that something is wrong: it is for long lists.
 *
 * @returns whether the text is an address of the family
 */
export function readAddress(
  family: Family,
  text: string,
  words: Uint32Array,
  at = 0,
  start = 0,
  end = text.length,
): boolean {
  return family === 'ipv4'
    ? readIpv4(text, start, end, words, at)
    : readIpv6(text, start, end) && packGroups(words, at)
}

const zero = 0x30
const nine = 0x39
const dot = 0x2e
const colon = 0x3a

function readIpv4(text: string, start: number, end: number, words: Uint32Array, at: number): boolean {
  let address = 0
  let byte = -1
  let dots = 0
  for (let index = start; index < end; index += 1) {
    const code = text.charCodeAt(index)
    if (code >= zero && code <= nine) {
      if (byte === 0) return false // a leading zero
      byte = (byte === -1 ? 0 : byte * 10) + code - zero
      if (byte > 255) return false
    } else if (code === dot && byte !== -1) {
      address = address * 256 + byte
      byte = -1
      dots += 1
    } else return false
  }
  if (dots !== 3 || byte === -1) return false
  words[at] = address * 256 + byte
  return true
}

/** The groups of 16 bits of the address that was read last. */
const groups = new Uint16Array(8)
const dotted = new Uint32Array(1)

function readIpv6(text: string, start: number, end: number): boolean {
  let count = 0
  let gap = -1
  let index = start
  if (text.charCodeAt(start) === colon) {
    if (text.charCodeAt(start + 1) !== colon) return false
    gap = 0
    index = start + 2
  }
  while (index < end) {
    const from = index
    let group = 0
    let code = 0
    for (; index < end; index += 1) {
      code = text.charCodeAt(index)
      const digit = hexDigit(code)
      if (digit === -1) break
      group = group * 16 + digit
    }
    if (index < end && code === dot) {
      if (count > 6 || !readIpv4(text, from, end, dotted, 0)) return false
      const word = dotted[0] ?? 0
      groups[count] = word >>> 16
      groups[count + 1] = word & 0xffff
      count += 2
      break
    }
    if (index === from || index - from > 4 || count === 8) return false
    groups[count] = group
    count += 1
    if (index === end) break
    if (code !== colon) return false
    index += 1
    if (index === end) return false // a single ":" at the end
    if (text.charCodeAt(index) === colon) {
      if (gap !== -1) return false
      gap = count
      index += 1
    }
  }
  return spread(count, gap)
}

/** Fills the place of "::", which stands before group number `gap` (-1: there is none), with at least one zero. */
function spread(count: number, gap: number): boolean {
  if (gap === -1) return count === 8
  if (count === 8) return false
  const after = 8 - (count - gap)
  groups.copyWithin(after, gap, count)
  groups.fill(0, gap, after)
  return true
}

function packGroups(words: Uint32Array, at: number): true {
  for (let word = 0; word < 4; word += 1) {
    words[at + word] = (groups[word * 2] ?? 0) * 0x1_0000 + (groups[word * 2 + 1] ?? 0)
  }
  return true
}

function hexDigit(code: number): number {
  if (code >= zero && code <= nine) return code - zero
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1
}
