import type { Cidr } from './address.ts'
import { readAddress } from './address-words.ts'

/**
 * Reads an address or a CIDR from a part of a text, to the same value as parseCidr but several times faster.
 *
 * @returns `undefined` for what parseCidr refuses, and for the few forms that are left to it
 */
export function readCidr(text: string, start = 0, end = text.length): Cidr | undefined {
  let slash = -1
  let isIpv6 = false
  for (let index = start; index < end; index += 1) {
    const code = text.charCodeAt(index)
    if (code === 0x2f && slash === -1) slash = index
    else if (code === 0x3a) isIpv6 = true
  }
  const family = isIpv6 ? 'ipv6' : 'ipv4'
  const bits = isIpv6 ? 128 : 32
  const addressEnd = slash === -1 ? end : slash
  const prefix = slash === -1 ? bits : readPrefix(text, slash + 1, end)
  if (prefix > bits || !readAddress(family, text, words, 0, start, addressEnd)) return undefined
  if (hasHostBits(isIpv6 ? 4 : 1, prefix)) return undefined
  // A valid IPv4 address can be written in one way only.
  if (!isIpv6) return { family, address: text.slice(start, addressEnd), prefix }
  return isIpv4InIpv6() ? undefined : { family, address: printIpv6(), prefix }
}

/** The address that was read last. */
const words = new Uint32Array(4)

/** Infinity when it is no number. */
function readPrefix(text: string, start: number, end: number): number {
  const first = text.charCodeAt(start)
  if (end === start || end > start + 3 || (first === 0x30 && end > start + 1)) return Infinity
  let prefix = 0
  for (let index = start; index < end; index += 1) {
    const digit = text.charCodeAt(index) - 0x30
    if (!(digit >= 0 && digit <= 9)) return Infinity
    prefix = prefix * 10 + digit
  }
  return prefix
}

function hasHostBits(count: number, prefix: number): boolean {
  for (let word = 0; word < count; word += 1) {
    const covered = prefix - word * 32
    // A shift by 32 would shift by none.
    const hostMask = covered <= 0 ? -1 : covered >= 32 ? 0 : -1 >>> covered
    if (((words[word] ?? 0) & hostMask) !== 0) return true
  }
  return false
}

/** IPv4-mapped and IPv4-compatible addresses: the first are an error, the second are printed with dots. */
function isIpv4InIpv6(): boolean {
  const [first, second, third = 0] = words
  return first === 0 && second === 0 && (third === 0 || third === 0xffff)
}

/** RFC 5952: the first of the longest runs of two or more zeros is left out. */
function printIpv6(): string {
  const gap = longestRun()
  let text = ''
  for (let index = 0; index < 8; index += 1) {
    if (index === gap.start) {
      text += '::'
      index += gap.length - 1
    } else {
      if (index !== 0 && index !== gap.start + gap.length) text += ':'
      text += group(index).toString(16)
    }
  }
  return text
}

function longestRun(): { readonly start: number; readonly length: number } {
  let longest = { start: 8, length: 1 }
  for (let start = 0; start < 8; start += 1) {
    let length = 0
    while (start + length < 8 && group(start + length) === 0) length += 1
    if (length > longest.length) longest = { start, length }
    start += length
  }
  return longest
}

function group(index: number): number {
  const word = words[index >> 1] ?? 0
  return index % 2 === 0 ? word >>> 16 : word & 0xffff
}
