import type { Endpoint } from '../ruleset/endpoint.ts'
import { askDns } from './ask-dns.ts'
import { ProbeError } from './probe-error.ts'

/**
 * Asks for an address of a name. That there is none is an answer too.
 *
 * @throws {ProbeError} when no server answers, or says that it cannot or will not.
 */
export async function tryDns(
  query: string,
  server: Endpoint | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const question = { query, type: 'A' as const, timeoutMs }
  const answer = await askDns(server === undefined ? question : { ...question, server }, signal)
  if ('addresses' in answer || answer.code === 'NXDOMAIN' || answer.code === 'NODATA') return
  throw new ProbeError(`asking DNS for ${query}: ${answer.code}`)
}
