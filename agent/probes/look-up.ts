import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { askDns } from './ask-dns.ts'
import { ProbeError } from './probe-error.ts'

export type HostAddress = { readonly address: string; readonly family: 4 | 6 }

/**
 * Finds the addresses of a host: those of /etc/hosts, or what DNS says now. getaddrinfo(3), which Node.js would ask,
 * cannot be called off: four lookups that hang in it would keep the whole agent from its files.
 *
 * @throws {ProbeError} when it has none.
 */
export async function lookUp(
  host: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<readonly HostAddress[]> {
  if (isIP(host) !== 0) return [withFamily(host)]
  const listed = addressesIn(await readFile('/etc/hosts', 'utf8').catch(() => ''), host)
  if (listed.length > 0) return listed.map(withFamily)
  // Half of the time, so that a server that never answers one of the types leaves some for the connection.
  const question = { query: host, timeoutMs: timeoutMs / 2 }
  const asked = await Promise.allSettled([
    askDns({ ...question, type: 'A' }, signal),
    askDns({ ...question, type: 'AAAA' }, signal),
  ])
  const found = asked.flatMap((one) =>
    one.status === 'fulfilled' && 'addresses' in one.value ? one.value.addresses : [],
  )
  if (found.length > 0) return found.map(withFamily)
  for (const one of asked) {
    if (one.status === 'rejected') throw one.reason
  }
  const codes = asked.flatMap((one) =>
    one.status === 'fulfilled' && 'code' in one.value ? one.value.code : [],
  )
  throw new ProbeError(`looking up ${host}: ${[...new Set(codes)].join(', ')}`)
}

/** Gives a socket addresses that were looked up before. */
export function lookupOf(addresses: readonly HostAddress[]): LookupFunction {
  return (_host, { all = false }, callback) => {
    if (all) callback(null, [...addresses])
    else callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
  }
}

/** See hosts(5). */
function addressesIn(text: string, host: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const isMeant = names.some((name) => name.toLowerCase() === host.toLowerCase())
    return isMeant && isIP(address) !== 0 ? [address] : []
  })
}

function withFamily(address: string): HostAddress {
  return { address, family: isIP(address) === 6 ? 6 : 4 }
}
