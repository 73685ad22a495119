import { codeOf, isExpected, messageOf, OutsideError } from '../errors.ts'

/** Something that has to work from this node does not. */
export class ProbeError extends OutsideError {
  override readonly name = 'ProbeError'
}

/**
 * Says what an attempt failed at: `connecting to 192.0.2.1:443: refused`. Once `signal` has aborted, that is
 * the reason, whatever it brought about. A bug comes through as it is.
 */
export function failedAt(doing: string, error: unknown, signal: AbortSignal): unknown {
  const why: unknown = signal.aborted ? signal.reason : error
  if (!isExpected(why)) return why
  return new ProbeError(`${doing}: ${reasonOf(why)}`, { cause: error })
}

function reasonOf(error: unknown): string {
  // Of a host with several addresses, each has a reason of its own.
  if (error instanceof AggregateError) return [...new Set(error.errors.map(reasonOf))].join('; ')
  return words.get(codeOf(error) ?? '') ?? messageOf(error)
}

/** See connect(2) and icmp(7); the messages of Node.js would name the address once more. */
const words = new Map([
  ['ECONNREFUSED', 'refused'],
  ['ECONNRESET', 'reset by the other side'],
  ['EHOSTUNREACH', 'host unreachable'],
  ['ENETUNREACH', 'network unreachable'],
  ['EACCES', 'administratively prohibited'],
  ['ETIMEDOUT', 'no answer'],
])
