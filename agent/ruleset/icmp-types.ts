import type { Family } from './address.ts'
import { describeValue, nearest } from './problem.ts'
import type { IcmpType } from './ruleset.ts'

/** `iptables` takes the type 255 for any type, so a rule that names it would match them all. */
const highestType = 254
const highestCode = 255

/**
 * Reads an ICMP type: its number, `type/code`, or a name that `iptables` or `nft` have for it. Names are of one
 * family: IPv4 has no `packet-too-big`, and `destination-unreachable` is 3 there and 1 in IPv6.
 *
 * @throws {Error} whose message says "found X, expected Y".
 */
export function parseIcmpType(written: string | number, family: Family): IcmpType {
  const found = `found ${describeValue(written)}`
  const text = String(written)
  const known = namesOf(family).get(text)
  if (known !== undefined) return toType(known)
  const numbers = /^(0|[1-9][0-9]*)(?:\/(0|[1-9][0-9]*))?$/.test(text)
    ? text.split('/').map(Number)
    : undefined
  if (numbers === undefined) throw new Error(`${found}${expectedName(text, family)}`)
  const [type = 0, code = 0] = numbers
  if (type > highestType) throw new Error(`${found}, expected a type from 0 to ${highestType}`)
  if (code > highestCode) throw new Error(`${found}, expected a code from 0 to ${highestCode}`)
  return toType(numbers)
}

function toType([type = 0, code]: readonly number[]): IcmpType {
  return code === undefined ? { type } : { type, code }
}

function namesOf(family: Family): ReadonlyMap<string, readonly number[]> {
  return family === 'ipv4' ? icmpNames : icmpv6Names
}

const protocolOf = { ipv4: 'icmp', ipv6: 'icmpv6' } as const

function expectedName(text: string, family: Family): string {
  const other = family === 'ipv4' ? 'ipv6' : 'ipv4'
  if (namesOf(other).has(text))
    return ` for ${protocolOf[family]}, expected it with protocol ${protocolOf[other]}`
  if (text === 'any') return ', expected types; leave the key out if it should not restrict anything'
  const names = [...namesOf(family).keys()]
  const guess = nearest(text.toLowerCase(), names)
  const example = `a number from 0 to ${highestType}, "type/code", or a name such as "echo-request"`
  return `, expected ${guess === undefined ? example : `"${guess}"`}`
}

/** RFC 792, RFC 950, RFC 1122, RFC 1256, RFC 1812. */
const icmpNames: ReadonlyMap<string, readonly number[]> = new Map([
  ['echo-reply', [0]],
  ['pong', [0]],
  ['destination-unreachable', [3]],
  ['network-unreachable', [3, 0]],
  ['host-unreachable', [3, 1]],
  ['protocol-unreachable', [3, 2]],
  ['port-unreachable', [3, 3]],
  ['fragmentation-needed', [3, 4]],
  ['source-route-failed', [3, 5]],
  ['network-unknown', [3, 6]],
  ['host-unknown', [3, 7]],
  ['network-prohibited', [3, 9]],
  ['host-prohibited', [3, 10]],
  ['TOS-network-unreachable', [3, 11]],
  ['TOS-host-unreachable', [3, 12]],
  ['communication-prohibited', [3, 13]],
  ['host-precedence-violation', [3, 14]],
  ['precedence-cutoff', [3, 15]],
  ['source-quench', [4]],
  ['redirect', [5]],
  ['network-redirect', [5, 0]],
  ['host-redirect', [5, 1]],
  ['TOS-network-redirect', [5, 2]],
  ['TOS-host-redirect', [5, 3]],
  ['echo-request', [8]],
  ['ping', [8]],
  ['router-advertisement', [9]],
  ['router-solicitation', [10]],
  ['time-exceeded', [11]],
  ['ttl-exceeded', [11]],
  ['ttl-zero-during-transit', [11, 0]],
  ['ttl-zero-during-reassembly', [11, 1]],
  ['parameter-problem', [12]],
  ['ip-header-bad', [12, 0]],
  ['required-option-missing', [12, 1]],
  ['timestamp-request', [13]],
  ['timestamp-reply', [14]],
  ['address-mask-request', [17]],
  ['address-mask-reply', [18]],
])

/** RFC 4443, RFC 4861, RFC 2710, RFC 3810. */
const icmpv6Names: ReadonlyMap<string, readonly number[]> = new Map([
  ['destination-unreachable', [1]],
  ['no-route', [1, 0]],
  ['communication-prohibited', [1, 1]],
  ['beyond-scope', [1, 2]],
  ['address-unreachable', [1, 3]],
  ['port-unreachable', [1, 4]],
  ['failed-policy', [1, 5]],
  ['reject-route', [1, 6]],
  ['packet-too-big', [2]],
  ['time-exceeded', [3]],
  ['ttl-exceeded', [3]],
  ['ttl-zero-during-transit', [3, 0]],
  ['ttl-zero-during-reassembly', [3, 1]],
  ['parameter-problem', [4]],
  ['bad-header', [4, 0]],
  ['unknown-header-type', [4, 1]],
  ['unknown-option', [4, 2]],
  ['echo-request', [128]],
  ['ping', [128]],
  ['echo-reply', [129]],
  ['pong', [129]],
  ['mld-listener-query', [130]],
  ['mld-listener-report', [131]],
  ['mld-listener-done', [132]],
  ['mld-listener-reduction', [132]],
  ['router-solicitation', [133]],
  ['router-advertisement', [134]],
  ['neighbour-solicitation', [135]],
  ['neighbor-solicitation', [135]],
  ['neighbour-advertisement', [136]],
  ['neighbor-advertisement', [136]],
  ['redirect', [137]],
  ['mld2-listener-report', [143]],
])
