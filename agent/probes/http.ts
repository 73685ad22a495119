import type { ClientRequest } from 'node:http'
import { request as requestTls } from 'node:https'
import { request as requestPlain } from '../host/node-http.ts'
import { formatHttpUrl } from '../ruleset/http-url.ts'
import type { HttpUrl } from '../ruleset/http-url.ts'
import { lookUp } from './look-up.ts'
import { failedAt, ProbeError } from './probe-error.ts'
import { connectOptions } from './tcp.ts'

export type HttpExpectation = {
  /** Absent: any status from 200 to 399. */
  readonly expect?: number
  /** Whether any certificate will do; else it is verified against the CAs of Node.js and NODE_EXTRA_CA_CERTS. */
  readonly insecure: boolean
}

/**
 * Sends a GET over a connection of its own and looks at the status; redirects are not followed.
 *
 * @throws {ProbeError} when there is no answer, or it has another status.
 */
export async function tryHttp(
  url: HttpUrl,
  { expect, insecure }: HttpExpectation,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const addresses = await lookUp(url.host, timeoutMs, signal)
  const { isTls, ...target } = url
  const options = {
    ...target,
    ...connectOptions(addresses, timeoutMs),
    agent: false,
    headers: { 'user-agent': 'node-firewall', connection: 'close' },
    signal,
  }
  const request = isTls ? requestTls({ ...options, rejectUnauthorized: !insecure }) : requestPlain(options)
  try {
    const status = await statusOf(request)
    const isFine = expect === undefined ? status >= 200 && status < 400 : status === expect
    if (!isFine) throw new ProbeError(`found status ${status}, expected ${expect ?? '200 to 399'}`)
  } catch (error) {
    throw failedAt(`asking ${formatHttpUrl(url)}`, error, signal)
  } finally {
    request.destroy()
  }
}

async function statusOf(request: ClientRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    request.on('response', ({ statusCode = 0 }) => resolve(statusCode))
    request.on('error', reject)
    request.end()
  })
}
