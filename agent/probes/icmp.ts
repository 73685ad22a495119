import { isIPv6 } from 'node:net'
import { CommandError } from '../host/exec.ts'
import type { Exec } from '../host/exec.ts'
import { failedAt, ProbeError } from './probe-error.ts'

/**
 * Sends an echo request with ping(8), in the network namespace that `exec` runs programs in.
 *
 * @throws {ProbeError} when no reply comes, or there is no ping(8).
 */
export async function tryIcmp(
  exec: Exec,
  address: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const family = isIPv6(address) ? '-6' : '-4'
  // Fractions of a second are taken by iputils only from version 20200821 on.
  const wait = ['-W', String(timeoutMs / 1000)]
  try {
    await exec('ping', [family, '-n', '-c', '1', ...wait, address], { signal })
  } catch (error) {
    const why = error instanceof CommandError ? new ProbeError(explain(error), { cause: error }) : error
    throw failedAt(`pinging ${address}`, why, signal)
  }
}

function explain({ message, cause }: CommandError): string {
  if (message.includes('failed to execute ping')) return 'there is no ping (Debian package iputils-ping)'
  const refusal = /^From \S+ icmp_seq=1 (.*)$/m.exec(printed(cause))?.[1]
  if (refusal !== undefined) return refusal
  // Without a reply ping ends with status 1 and says nothing on stderr.
  return message.endsWith('exit status 1: ') ? 'no reply' : message
}

function printed(result: unknown): string {
  const isResult = typeof result === 'object' && result !== null && 'stdout' in result
  return isResult && typeof result.stdout === 'string' ? result.stdout : ''
}
