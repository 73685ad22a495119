import { Resolver } from 'node:dns/promises'
import { codeOf } from '../errors.ts'
import { formatEndpoint } from '../ruleset/endpoint.ts'
import type { Endpoint } from '../ruleset/endpoint.ts'
import { failedAt, ProbeError } from './probe-error.ts'

export type Question = {
  readonly query: string
  readonly type: 'A' | 'AAAA'
  /** Absent: the servers of /etc/resolv.conf. */
  readonly server?: Endpoint
  /** What all attempts may take together; a packet that is lost is sent again after half of it. */
  readonly timeoutMs: number
}

/** What a server says of a name: its addresses, or a code (RFC 1035, 4.1.1) in words. */
export type DnsAnswer = { readonly addresses: readonly string[] } | { readonly code: DnsCode }
export type DnsCode = 'NXDOMAIN' | 'NODATA' | 'SERVFAIL' | 'REFUSED' | 'FORMERR' | 'NOTIMP' | 'nonsense'

/**
 * Asks DNS over UDP, each time from a new socket, so that no entry of conntrack lets it pass. Nothing is remembered,
 * and no search domain or file of names is looked into.
 *
 * @throws {ProbeError} when no server answers.
 */
export async function askDns(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
  const { query, type, server, timeoutMs } = question
  signal.throwIfAborted()
  const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 2), tries: 2 })
  if (server !== undefined) resolver.setServers([formatEndpoint(server)])
  const doing = `asking ${resolver.getServers().join(', ')} for ${query}`
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel)
  try {
    const addresses = await (type === 'A' ? resolver.resolve4(query) : resolver.resolve6(query))
    return { addresses }
  } catch (error) {
    const code = answers.get(codeOf(error) ?? '')
    if (code !== undefined && !signal.aborted) return { code }
    const why = failures.get(codeOf(error) ?? '')
    throw failedAt(doing, why === undefined ? error : new ProbeError(why, { cause: error }), signal)
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

/** What c-ares calls answers that hold no address, see ares_strerror(3). */
const answers = new Map<string, DnsCode>([
  ['ENOTFOUND', 'NXDOMAIN'],
  ['ENODATA', 'NODATA'],
  ['ESERVFAIL', 'SERVFAIL'],
  ['EREFUSED', 'REFUSED'],
  ['EFORMERR', 'FORMERR'],
  ['ENOTIMP', 'NOTIMP'],
  ['EBADRESP', 'nonsense'],
])

/** The first is also what it says when a packet could not be sent at all. */
const failures = new Map([
  ['ECONNREFUSED', 'refused, or no way to send'],
  ['ETIMEOUT', 'no answer'],
])
