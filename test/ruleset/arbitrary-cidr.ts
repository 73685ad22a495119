import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { parseCidr } from '../../agent/ruleset/address.ts'
import type { Cidr, Family } from '../../agent/ruleset/address.ts'

/** Networks of a family; many of them hold each other or are neighbours. */
export function cidrs(family: Family, minPrefix = 0): fc.Arbitrary<Cidr> {
  const length = family === 'ipv4' ? 4 : 16
  const any = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: length, maxLength: length })
  const crowded = fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: length, maxLength: length })
  return fc
    .tuple(fc.oneof(any, crowded, crowded), fc.integer({ min: minPrefix, max: length * 8 }))
    .map(([bytes, prefix]) => `${ipaddr.fromByteArray(maskBytes(bytes, prefix)).toString()}/${prefix}`)
    .filter((text) => !/^::ffff:[^:]*:[^:]*\//.test(text)) // IPv4-mapped
    .map(parseCidr)
}

/** The numbers of the first and the last address of a network. */
export function rangeOf({ address, prefix }: Cidr): { first: bigint; last: bigint } {
  const bytes = ipaddr.parse(withoutDots(address)).toByteArray()
  const first = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  return { first, last: first + (1n << BigInt(bytes.length * 8 - prefix)) - 1n }
}

/** ipaddr.js reads `::192.0.2.1` as an IPv4-mapped address. */
function withoutDots(address: string): string {
  const [, a, b, c, d] = /^::(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)?.map(Number) ?? []
  if (a === undefined || b === undefined || c === undefined || d === undefined) return address
  return `::${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}

function maskBytes(bytes: readonly number[], prefix: number): number[] {
  return bytes.map(
    (byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, prefix - index * 8)))) & 0xff,
  )
}
