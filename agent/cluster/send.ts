import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Access } from './access.ts'

export type ApiRequest = {
  readonly method: 'GET' | 'PATCH' | 'POST' | 'DELETE'
  /** What messages call it, where the method says too little. */
  readonly verb?: 'LIST' | 'WATCH'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly accept?: string
  readonly contentType?: string
  readonly body?: string
}

/**
 * Sends one request over a connection of its own and resolves with the head of the answer.
 *
 * Requests are few. A connection of its own can never be one that died unnoticed, and an answer proves
 * that new connections get through, which is what a firewall has to know after a change.
 */
export async function send(request: ApiRequest, access: Access, userAgent: string, signal: AbortSignal) {
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpsRequest(addressOf(request, access.server), {
      agent: false,
      ...access.tls,
      method: request.method,
      headers: { ...access.headers, 'user-agent': userAgent, ...headersOf(request) },
      signal,
    })
    // A peer that is gone without a word is noticed by the kernel, too.
    outgoing.on('socket', (socket) => socket.setKeepAlive(true, 30_000))
    outgoing.on('error', reject)
    outgoing.on('response', (answer) => resolve(answer.setEncoding('utf8')))
    outgoing.end(request.body)
  })
}

/** `PATCH /api/v1/nodes/worker-1`, `WATCH /api/v1/nodes` */
export function describe({ verb, method, path }: ApiRequest): string {
  return `${verb ?? method} ${path}`
}

function addressOf(request: ApiRequest, server: URL): URL {
  return new URL(server.pathname.replace(/\/$/, '') + target(request), server)
}

function target({ path, query }: ApiRequest): string {
  return query === undefined ? path : `${path}?${new URLSearchParams(query).toString()}`
}

function headersOf({ accept, contentType, body }: ApiRequest): Record<string, string> {
  return {
    accept: accept ?? 'application/json',
    ...(contentType === undefined ? {} : { 'content-type': contentType }),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  }
}
