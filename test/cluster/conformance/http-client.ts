import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Agent } from 'node:https'
import { createInterface } from 'node:readline'
import { z } from 'zod'

/** A bare client for the conformance suite: what goes over the wire, and no opinion about it. */
export type Http = {
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Answer>
  readonly watch: (path: string, options?: CallOptions) => Promise<Watching>
}

export type CallOptions = {
  readonly token?: string | undefined
  readonly accept?: string
  readonly contentType?: string
  readonly body?: unknown
}

export type Answer = { status: number; headers: IncomingHttpHeaders; text: string; body: Body }

export type Watching = {
  readonly status: number
  /** The next line; undefined when the server has ended the watch in order. */
  next(): Promise<Event | undefined>
  /** All lines up to the end. */
  rest(): Promise<Event[]>
  stop(): void
}

export type Body = z.infer<typeof body>
export type Event = z.infer<typeof event>

/** Each request has a connection of its own, unless an agent keeps them. */
export function createHttp(url: string, caFile: string, agent: Agent | false = false): Http {
  const ca = readFileSync(caFile)
  const open = async (method: string, path: string, options: CallOptions) => {
    const { token, accept = 'application/json', contentType } = options
    const headers: Record<string, string> = { accept, 'user-agent': 'conformance/1' }
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`
    if (contentType !== undefined) headers['content-type'] = contentType
    const { body } = options
    const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    // For DELETE Node.js would leave it out.
    if (sent !== undefined) headers['content-length'] = String(Buffer.byteLength(sent))
    const request = httpsRequest(url + path, { method, ca, headers, agent })
    request.end(sent)
    return await firstAnswer(once(request, 'response'))
  }
  return {
    async call(method, path, options = {}) {
      const answer = await open(method, path, options)
      let text = ''
      for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) text += chunk
      return { status: answer.statusCode ?? 0, headers: answer.headers, text, body: readBody(text) }
    },
    async watch(path, options = {}) {
      const answer = await open('GET', path, options)
      const lines = createInterface(answer)[Symbol.asyncIterator]()
      const next = async () => {
        const line = await lines.next()
        return line.done === true ? undefined : event.parse(JSON.parse(line.value))
      }
      return {
        status: answer.statusCode ?? 0,
        next,
        async rest() {
          const events: Event[] = []
          for (let each = await next(); each !== undefined; each = await next()) events.push(each)
          if (!answer.complete) throw new Error('the watch ended without the last chunk')
          return events
        },
        stop: () => void answer.destroy(),
      }
    },
  }
}

async function firstAnswer(response: Promise<unknown[]>): Promise<IncomingMessage> {
  // `once` knows nothing of types: the event "response" brings an IncomingMessage.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await response)[0] as IncomingMessage
}

const metadata = z.looseObject({
  name: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  continue: z.string().optional(),
  remainingItemCount: z.number().optional(),
})

/** An object, a List or a Status. */
const body = z.looseObject({
  kind: z.string().optional(),
  apiVersion: z.string().optional(),
  metadata: metadata.optional(),
  items: z.array(z.looseObject({ metadata })).optional(),
  code: z.number().optional(),
  message: z.string().optional(),
  reason: z.string().optional(),
  details: z.looseObject({ causes: z.array(z.unknown()).optional() }).optional(),
})

const event = z.object({ type: z.string(), object: body })

function readBody(text: string): Body {
  return text.startsWith('{') ? body.parse(JSON.parse(text)) : {}
}
