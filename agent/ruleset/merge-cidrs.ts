import { families } from './address.ts'
import type { Cidr, Family } from './address.ts'
import { readAddress, wordsOf } from './address-words.ts'

/** More than these cannot be sorted at once: a 32-bit word and an index have to fit into one number. */
const mostNetworks = 2 ** 21

/**
 * The fewest networks that hold the same addresses, IPv4 before IPv6 and each sorted by address: without
 * duplicates and networks within others, and with two halves joined into their whole, up to /0.
 */
export function mergeCidrs(cidrs: readonly Cidr[]): readonly Cidr[] {
  return families.flatMap((family) => {
    const ofFamily = cidrs.filter((cidr) => cidr.family === family)
    return mergeSorted(family, ofFamily, readWords(family, ofFamily))
  })
}

function mergeSorted(family: Family, cidrs: readonly Cidr[], words: Uint32Array): Cidr[] {
  const width = wordsOf[family]
  const merged: Cidr[] = []
  /** From which of the inputs each of the merged has its address. */
  const origins: number[] = []
  for (const index of sortIndexes(cidrs, words, width)) {
    let next = cidrs[index]
    let origin = index
    for (;;) {
      const last = merged.at(-1)
      const lastOrigin = origins.at(-1)
      if (next === undefined || last === undefined || lastOrigin === undefined) break
      const same = commonBits(words, width, lastOrigin, origin)
      if (same >= last.prefix) {
        next = undefined
      } else if (last.prefix === next.prefix && same === last.prefix - 1) {
        // The lower half has the address of the whole.
        next = { family, address: last.address, prefix: last.prefix - 1 }
        origin = lastOrigin
        merged.pop()
        origins.pop()
      } else break
    }
    if (next === undefined) continue
    merged.push(next)
    origins.push(origin)
  }
  return merged
}

/** The addresses as 32-bit words, side by side. */
function readWords(family: Family, cidrs: readonly Cidr[]): Uint32Array {
  const width = wordsOf[family]
  const words = new Uint32Array(cidrs.length * width)
  let at = 0
  for (const { address } of cidrs) {
    if (!readAddress(family, address, words, at)) {
      throw new Error(`merging networks: "${address}" is no ${family} address`)
    }
    at += width
  }
  return words
}

/** With how many bits two addresses begin alike. */
function commonBits(words: Uint32Array, width: number, a: number, b: number): number {
  for (let word = 0; word < width; word += 1) {
    const different = (words[a * width + word] ?? 0) ^ (words[b * width + word] ?? 0)
    if (different !== 0) return word * 32 + Math.clz32(different)
  }
  return width * 32
}

/**
 * By address, and of networks with one address the larger first. A sort for each word of the key, the least
 * significant first, is many times faster than one that calls a function to compare.
 */
function sortIndexes(cidrs: readonly Cidr[], words: Uint32Array, width: number): Uint32Array {
  if (cidrs.length > mostNetworks) throw new Error(`merging networks: more than ${mostNetworks}`)
  let order = sortBy(
    new Uint32Array(cidrs.length).map((_, index) => index),
    (index) => cidrs[index]?.prefix ?? 0,
  )
  for (let word = width - 1; word >= 0; word -= 1) {
    order = sortBy(order, (index) => words[index * width + word] ?? 0)
  }
  return order
}

/** Those with one key stay in their order, as the place in it is part of what is sorted. */
function sortBy(order: Uint32Array, keyOf: (index: number) => number): Uint32Array {
  const keys = new Float64Array(order.length)
  for (let place = 0; place < order.length; place += 1) {
    keys[place] = keyOf(order[place] ?? 0) * mostNetworks + place
  }
  keys.sort() // eslint-disable-line unicorn/no-array-sort -- it is nobody else's, and may be large
  const sorted = new Uint32Array(order.length)
  for (let place = 0; place < order.length; place += 1) {
    const key = keys[place] ?? 0
    sorted[place] = order[key - Math.floor(key / mostNetworks) * mostNetworks] ?? 0
  }
  return sorted
}
