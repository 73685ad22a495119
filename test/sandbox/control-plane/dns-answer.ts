import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Addresses by name, without the dot at the end. */
export type Zone = ReadonlyMap<string, readonly string[]>

/** What a DNS server does with questions: answers them, says that it failed (SERVFAIL), or says nothing. */
export type DnsMood = 'answers' | 'fails' | 'silent'

const headLength = 12
const recordTypes: Readonly<Record<number, 'ipv4' | 'ipv6'>> = { 1: 'ipv4', 28: 'ipv6' }
const returnCode = { ok: 0, failed: 2, noSuchName: 3 } as const

/** The name that a query asks for: its labels stand one after the other, each behind its length (RFC 1035, 4.1.2). */
export function readQuestion(query: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = []
  let at = headLength
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  // Behind the empty label: type and class, two bytes each.
  return { name: labels.join('.').toLowerCase(), end: at + 5 }
}

/** The answer to a query with one question, as a server that recurses gives it (RFC 1035, 4.1.1). */
export function answerQuery(query: Buffer, zone: Zone, mood: Exclude<DnsMood, 'silent'>): Buffer {
  const { name, end } = readQuestion(query)
  const known = zone.get(name)
  const family = recordTypes[query.readUInt16BE(end - 4)]
  const found = mood === 'fails' ? [] : (known ?? []).filter((address) => familyOf(address) === family)
  const head = Buffer.alloc(headLength)
  query.copy(head, 0, 0, 2)
  const code =
    mood === 'fails' ? returnCode.failed : known === undefined ? returnCode.noSuchName : returnCode.ok
  const recursionDesired = query.readUInt16BE(2) & 0x01_00
  // A response (0x8000), by a server that recurses (0x0080).
  head.writeUInt16BE(0x80_80 | recursionDesired | code, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(found.length, 6)
  return Buffer.concat([head, query.subarray(headLength, end), ...found.map(record)])
}

/** Its name is a pointer to the question; it may be kept for 5 s. */
function record(address: string): Buffer {
  const bytes = Buffer.from(ipaddr.parse(address).toByteArray())
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc0_00 | headLength, 0)
  head.writeUInt16BE(isIPv6(address) ? 28 : 1, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(5, 6)
  head.writeUInt16BE(bytes.length, 10)
  return Buffer.concat([head, bytes])
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}
