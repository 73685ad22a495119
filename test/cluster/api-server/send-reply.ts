import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Reply } from './call.ts'

/** A whole answer, with the headers of a real server. */
export function send(response: ServerResponse, reply: Exclude<Reply, { stream: unknown }>): void {
  if ('raw' in reply) {
    response.writeHead(reply.code, reply.headers)
    response.end(reply.raw)
    return
  }
  const text = 'text' in reply ? reply.text : `${JSON.stringify(reply.body)}\n`
  const type = 'text' in reply ? 'text/plain; charset=utf-8' : 'application/json'
  // 401 is said before anybody decides on priorities, and what may take for ever has none.
  const { [FLOW]: flow, [LEVEL]: level, ...headers } = commonHeaders()
  const priority = reply.code === 401 || reply.longRunning === true ? {} : { [FLOW]: flow, [LEVEL]: level }
  response.writeHead(reply.code, { ...headers, ...priority, 'Content-Type': type, ...reply.headers })
  // Short answers have a length; long ones, and those of unknown length, come in chunks.
  if (text.length > 2048 || ('text' in reply && reply.longRunning === true))
    response.write(text, () => response.end())
  else response.end(text)
}

/** The head promises more than comes. */
export function breakOff(response: ServerResponse): void {
  const text = '{"kind":"Node","apiVersion":"v1","metadata":{"name":"'
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': text.length * 2 })
  response.write(text, () => response.socket?.destroy())
}

/** A letter each 200 ms, for as long as somebody listens. */
export function drip(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.write('{"kind":"')
  const timer = setInterval(() => response.write('x'), 200)
  response.on('close', () => clearInterval(timer))
}

const FLOW = 'X-Kubernetes-Pf-Flowschema-Uid'
const LEVEL = 'X-Kubernetes-Pf-Prioritylevel-Uid'
const PRIORITY = { [FLOW]: randomUUID(), [LEVEL]: randomUUID() }

export function commonHeaders() {
  return { 'Audit-Id': randomUUID(), 'Cache-Control': 'no-cache, private', ...PRIORITY }
}
