import { connect } from 'node:net'
import { formatEndpoint } from '../ruleset/endpoint.ts'
import type { Endpoint } from '../ruleset/endpoint.ts'
import { lookUp, lookupOf } from './look-up.ts'
import type { HostAddress } from './look-up.ts'
import { failedAt } from './probe-error.ts'

/**
 * Opens a connection, and closes it as soon as the handshake is done.
 *
 * @throws {ProbeError} when that fails.
 */
export async function tryTcp(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const addresses = await lookUp(endpoint.host, timeoutMs, signal)
  const socket = connect({ ...endpoint, ...connectOptions(addresses, timeoutMs), signal })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('connect', resolve)
      socket.on('error', reject)
    })
  } catch (error) {
    throw failedAt(`connecting to ${formatEndpoint(endpoint)}`, error, signal)
  } finally {
    socket.destroy()
  }
}

/** A host is reachable when one of its addresses is (RFC 8305); each gets its share of the time. */
export function connectOptions(addresses: readonly HostAddress[], timeoutMs: number) {
  return {
    lookup: lookupOf(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: Math.max(10, Math.floor(timeoutMs / (addresses.length + 1))),
  }
}
