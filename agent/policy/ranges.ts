import ipaddr from 'ipaddr.js'
import type { Cidr, Family } from '../ruleset/address.ts'

/** Consecutive addresses of one family as numbers, both ends included. */
export type AddressRange = { readonly first: bigint; readonly last: bigint }

/** By list: a list of ten thousand networks is asked again for every connection. */
const rangesKnown = new WeakMap<readonly Cidr[], Partial<Record<Family, readonly AddressRange[]>>>()

/** The addresses of one family in a list of networks: sorted, with what overlaps or touches made one. */
export function rangesOf(cidrs: readonly Cidr[], family: Family): readonly AddressRange[] {
  const ofList = rangesKnown.get(cidrs) ?? {}
  const ranges = ofList[family] ?? merge(cidrs.filter((cidr) => cidr.family === family).map(toRange))
  rangesKnown.set(cidrs, { ...ofList, [family]: ranges })
  return ranges
}

/** Each rule asks for the same few addresses of a connection. */
const numbers = new Map<string, bigint>()
const mostNumbers = 1_000

/** The number an address stands for. */
export function toNumber(address: string): bigint {
  const known = numbers.get(address)
  if (known !== undefined) return known
  if (numbers.size >= mostNumbers) numbers.clear()
  const number = BigInt(`0x${Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')}`)
  numbers.set(address, number)
  return number
}

/** The address a number stands for. */
export function toAddress(number: bigint, family: Family): string {
  const hex = number.toString(16).padStart(bitsOf(family) / 4, '0')
  return ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]).toString()
}

/** Whether one of the ranges, sorted and apart, holds an address. */
export function holds(ranges: readonly AddressRange[], address: bigint): boolean {
  const range = ranges[lastBefore(ranges, address)]
  return range !== undefined && address <= range.last
}

/** Whether every address of `inner` is in `outer`; both sorted and apart. */
export function covers(outer: readonly AddressRange[], inner: readonly AddressRange[]): boolean {
  return inner.every(({ first, last }) => {
    const range = outer[lastBefore(outer, first)]
    return range !== undefined && last <= range.last
  })
}

/** Sorts ranges and makes one of those that overlap or touch. */
export function merge(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const merged: AddressRange[] = []
  for (const range of ranges.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    const last = merged.at(-1)
    if (last === undefined || range.first > last.last + 1n) merged.push(range)
    else if (range.last > last.last) merged[merged.length - 1] = { first: last.first, last: range.last }
  }
  return merged
}

function toRange({ family, address, prefix }: Cidr): AddressRange {
  const first = toNumber(address)
  return { first, last: first + (1n << BigInt(bitsOf(family) - prefix)) - 1n }
}

/** Index of the last range that begins at or before an address, -1 for none. */
function lastBefore(ranges: readonly AddressRange[], address: bigint): number {
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ranges[middle]?.first ?? 0n) <= address) low = middle + 1
    else high = middle
  }
  return low - 1
}

function bitsOf(family: Family): number {
  return family === 'ipv4' ? 32 : 128
}
