import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

export type Family = 'ipv4' | 'ipv6'
export const families: readonly Family[] = ['ipv4', 'ipv6']

/** A network: `address` is its first address in the form the kernel's tools print, `prefix` is 0-32 or 0-128. */
export type Cidr = { readonly family: Family; readonly address: string; readonly prefix: number }

/**
 * Parses an address (`192.0.2.1`) or a CIDR (`2001:db8::/32`), strictly: no leading zeros (iptables reads
 * `010.0.0.1` as octal), no IPv6 zone (iptables drops it in silence), no host bits, no IPv4-mapped IPv6.
 *
 * @throws {Error} whose message says what is wrong and what to write instead.
 */
export function parseCidr(text: string): Cidr {
  const [address = '', prefixText, ...rest] = text.split('/')
  if (rest.length > 0) throw new Error('more than one "/"')
  if (address.includes('%')) {
    throw new Error('an IPv6 zone ("%...") cannot be matched; leave it out and name the interface instead')
  }
  const family = familyOf(address)
  const bits = family === 'ipv4' ? 32 : 128
  const prefix = prefixText === undefined ? bits : parsePrefix(prefixText, bits)
  const parsed = ipaddr.parse(withoutDots(address))
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) {
    throw new Error('IPv4-mapped addresses never come in as IPv6 packets; write the IPv4 address')
  }
  if (hasHostBits(parsed, prefix)) {
    const network = printAddress(firstAddress(parsed, prefix))
    throw new Error(
      `host bits are set; write ${network}/${prefix}, or ${printAddress(parsed)} for the one host`,
    )
  }
  return { family, address: printAddress(parsed), prefix }
}

/** The family of a text that parseCidr takes, without the cost of parsing it. */
export function familyOfText(text: string): Family {
  return text.includes(':') ? 'ipv6' : 'ipv4'
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefix}`
}

/** Whether every address of `inner` is one of `outer` too. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false
  const bytes = ipaddr.parse(outer.address).toByteArray()
  return ipaddr
    .parse(inner.address)
    .toByteArray()
    .every((byte, index) => (byte & maskOf(index, outer.prefix)) === bytes[index])
}

function familyOf(address: string): Family {
  if (isIPv4(address)) return 'ipv4'
  if (isIPv6(address)) return 'ipv6'
  if (/^[0-9]+(\.[0-9]+){3}$/.test(address) && /(^|\.)0[0-9]/.test(address)) {
    throw new Error('numbers with leading zeros are octal to some tools; write them without')
  }
  throw new Error('not an IPv4 or IPv6 address')
}

/** `::192.0.2.1` as `::c000:0201`: ipaddr.js takes the first for `::ffff:192.0.2.1`, which is another address. */
function withoutDots(address: string): string {
  if (isIPv4(address)) return address
  return address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.slice(0, 4).map((byte) => Number(byte).toString(16).padStart(2, '0'))
    return `${a}${b}:${c}${d}`
  })
}

function parsePrefix(text: string, bits: number): number {
  const prefix = /^(0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : Number.NaN
  if (!(prefix <= bits)) throw new Error(`the prefix length must be a number from 0 to ${bits}`)
  return prefix
}

function hasHostBits(address: ipaddr.IPv4 | ipaddr.IPv6, prefix: number): boolean {
  return address.toByteArray().some((byte, index) => (byte & ~maskOf(index, prefix)) !== 0)
}

function firstAddress(address: ipaddr.IPv4 | ipaddr.IPv6, prefix: number): ipaddr.IPv4 | ipaddr.IPv6 {
  return ipaddr.fromByteArray(address.toByteArray().map((byte, index) => byte & maskOf(index, prefix)))
}

/** The bits of byte `index` of an address that a prefix covers. */
function maskOf(index: number, prefix: number): number {
  const covered = Math.min(8, Math.max(0, prefix - index * 8))
  return (0xff << (8 - covered)) & 0xff
}

/**
 * The text glibc's inet_ntop prints, which is what `iptables-save` shows: RFC 5952, but with the deprecated
 * IPv4-compatible addresses (RFC 4291, 2.5.5.1) in dotted form.
 */
function printAddress(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  if (address instanceof ipaddr.IPv4) return address.toString()
  const { parts } = address
  if (parts.slice(0, 6).every((part) => part === 0) && parts[6] !== 0) {
    return `::${address.toByteArray().slice(12).join('.')}`
  }
  return address.toRFC5952String()
}
