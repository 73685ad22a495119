import ipaddr from 'ipaddr.js'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'

type Range = { readonly first: bigint; readonly last: bigint }

/**
 * Reads an address as iptables takes it: host bits are cut off, and a mask may stand for the prefix length.
 *
 * @throws {Error} for what is no address: a host name, a mask with holes.
 */
export function readNetwork(text: string, family: Family): Cidr {
  const [address = '', suffix, ...rest] = text.split('/')
  if (rest.length > 0) throw new Error('more than one "/"')
  const bits = bitsOf(family)
  const prefix = suffix === undefined ? bits : prefixOf(suffix, family)
  if (/^0(\.0){0,2}$/.test(address) && prefix === 0) return parseCidr('0.0.0.0/0')
  const host = parseCidr(address)
  if (host.family !== family) throw new Error(`an ${host.family} address`)
  return cidrOf(cutTo(numberOf(host), prefix, bits), prefix, family)
}

/** The networks from one address to another, both included. */
export function networksOfRange(first: string, last: string, family: Family): Cidr[] {
  const range = { first: numberOf(parseCidr(first)), last: numberOf(parseCidr(last)) }
  return split(range, family)
}

/** What is in a network of both lists. */
export function intersectNetworks(a: readonly Cidr[], b: readonly Cidr[]): Cidr[] {
  const common = a.flatMap((one) =>
    b.flatMap((other) => (contains(one, other) ? [other] : contains(other, one) ? [one] : [])),
  )
  return [...new Map(common.map((cidr) => [`${cidr.address}/${cidr.prefix}`, cidr])).values()]
}

/** All addresses of a family that are in none of the networks. */
export function invertNetworks(networks: readonly Cidr[], family: Family): Cidr[] {
  const gaps: Range[] = []
  let next = 0n
  for (const { first, last } of networks.map(rangeOf).toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    if (first > next) gaps.push({ first: next, last: first - 1n })
    if (last >= next) next = last + 1n
  }
  const end = 1n << BigInt(bitsOf(family))
  if (next < end) gaps.push({ first: next, last: end - 1n })
  return gaps.flatMap((gap) => split(gap, family))
}

/** Whether all of the second network lies in the first. */
export function contains(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false
  const bits = bitsOf(outer.family)
  return cutTo(numberOf(inner), outer.prefix, bits) === numberOf(outer)
}

function bitsOf(family: Family): number {
  return family === 'ipv4' ? 32 : 128
}

function prefixOf(text: string, family: Family): number {
  const bits = bitsOf(family)
  if (/^\d{1,3}$/.test(text) && Number(text) <= bits) return Number(text)
  const mask = numberOf(parseCidr(text)).toString(2).padStart(bits, '0')
  const [, ones] = /^(1*)0*$/.exec(mask) ?? []
  if (ones === undefined) throw new Error('the mask has holes')
  return ones.length
}

function numberOf({ address }: Cidr): bigint {
  // parseCidr has printed it, but ipaddr.js takes ::192.0.2.1 for ::ffff:192.0.2.1.
  const dotted = /^::(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const bytes = dotted === null ? ipaddr.parse(address).toByteArray() : dotted.slice(1).map(Number)
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

function cutTo(address: bigint, prefix: number, bits: number): bigint {
  const host = BigInt(bits - prefix)
  return (address >> host) << host
}

function cidrOf(address: bigint, prefix: number, family: Family): Cidr {
  const size = bitsOf(family) / 8
  const bytes = Array.from({ length: size }, (_, i) =>
    Number((address >> BigInt(8 * (size - 1 - i))) & 0xffn),
  )
  if (family === 'ipv4') return parseCidr(`${bytes.join('.')}/${prefix}`)
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  return parseCidr(`${groups.join(':')}/${prefix}`)
}

function rangeOf(cidr: Cidr): Range {
  const first = numberOf(cidr)
  return { first, last: first + (1n << BigInt(bitsOf(cidr.family) - cidr.prefix)) - 1n }
}

/** The fewest networks that hold all of a range and nothing else. */
function split({ first, last }: Range, family: Family): Cidr[] {
  const bits = bitsOf(family)
  const networks: Cidr[] = []
  let next = first
  while (next <= last) {
    let prefix = bits
    while (prefix > 0) {
      const size = 1n << BigInt(bits - prefix + 1)
      if (next % size !== 0n || next + size - 1n > last) break
      prefix -= 1
    }
    networks.push(cidrOf(next, prefix, family))
    next += 1n << BigInt(bits - prefix)
  }
  return networks
}
