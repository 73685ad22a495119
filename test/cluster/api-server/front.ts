import { once } from 'node:events'
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { replyOf } from './faults.ts'
import type { FaultQueue } from './faults.ts'
import { parseTarget } from './resources.ts'
import { verbOf } from './call.ts'
import type { Call, Reply } from './call.ts'
import { breakOff, commonHeaders, drip, send } from './send-reply.ts'
import { createSilence } from './silence.ts'
import type { Silence } from './silence.ts'
import type { OpenWatch } from './watch.ts'

/** A request as it came, and the status of its answer once there is one. */
export type Logged = {
  readonly verb: string
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Call['headers']
  readonly body: string
  /** The client's port: one per connection. */
  readonly clientPort: number | undefined
  status: number | undefined
  /** When it had come whole, by the server's clock, in ms. */
  readonly at: number
}

/** The server's HTTP side: connections that can be refused, cut and silenced. */
export type Front = {
  readonly requests: Logged[]
  readonly silence: Silence
  /** The watches that are open, by their connection. */
  readonly watches: Map<Socket, OpenWatch>
  listen(): Promise<number>
  /** New connections are refused; open ones stay. */
  refuse(): void
  cutWatches(): void
  /** All connections that are open end at once. */
  cutConnections(): void
  /** Bytes of all connections so far, those of TLS among them. */
  traffic(): Traffic
  close(): Promise<void>
}

export type Traffic = { readonly received: number; readonly sent: number }

export type FrontOptions = {
  readonly answer: (call: Call) => Promise<Reply>
  readonly faults: FaultQueue
  readonly host: string
  /** 0: the kernel chooses one. */
  readonly port: number
  readonly key: Buffer
  readonly certificate: Buffer
  /** ms of the clock that requests are noted with. */
  readonly now: () => number
}

export function createFront(options: FrontOptions): Front {
  const { faults, host, port: wanted, key, certificate } = options
  const requests: Logged[] = []
  const watches = new Map<Socket, OpenWatch>()
  const sockets = new Set<Socket>()
  const silence = createSilence()
  const closed = { received: 0, sent: 0 }
  let port = wanted

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const call = await readCall(request)
    const verb = nameOf(call)
    const { remotePort: clientPort } = request.socket
    const logged: Logged = { ...call, verb, clientPort, status: undefined, at: options.now() }
    requests.push(logged)
    await silence.over()
    if (response.destroyed) return
    const fault = faults.take(verb, call.path)
    if (fault !== undefined && 'delayMs' in fault) await sleep(fault.delayMs)
    if (fault !== undefined && 'body' in fault) {
      logged.status = 200
      if (fault.body === 'none') {
        await options.answer(call)
        request.socket.destroy()
      } else if (fault.body === 'half') breakOff(response)
      else if (fault.body === 'drip') drip(response)
      else send(response, { code: 200, text: '<html>Please log in</html>\n' })
      return
    }
    const reply = fault !== undefined && 'status' in fault ? replyOf(fault) : await options.answer(call)
    logged.status = reply.code
    if ('stream' in reply) openStream(response, reply)
    else send(response, reply)
  }

  const openStream = (response: ServerResponse, reply: Extract<Reply, { stream: unknown }>) => {
    response.writeHead(reply.code, { ...commonHeaders(), 'Content-Type': 'application/json' })
    response.flushHeaders()
    const { socket } = response
    if (socket === null) return
    const sink = {
      write: (line: string) => silence.pass(() => response.write(line)),
      end: () => silence.pass(() => response.end()),
    }
    const watch = reply.stream(sink)
    if (response.writableEnded) return
    watches.set(socket, watch)
    response.on('close', () => {
      watch.close()
      watches.delete(socket)
    })
  }

  const server = createServer({ key, cert: certificate }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      // A client that has gone is none of our business; all else is a bug, and shows as a 500.
      if (!request.destroyed)
        send(response, { code: 500, text: `bug in the test server: ${String(error)}\n` })
    })
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => {
      sockets.delete(socket)
      closed.received += socket.bytesRead
      closed.sent += socket.bytesWritten
    })
  })

  return {
    requests,
    silence,
    watches,
    async listen() {
      server.listen(port, host)
      await once(server, 'listening')
      const address = server.address()
      port = typeof address === 'object' && address !== null ? address.port : port
      return port
    },
    refuse: () => void server.close(),
    cutWatches() {
      for (const socket of watches.keys()) socket.destroy()
    },
    cutConnections() {
      for (const socket of sockets) socket.destroy()
    },
    traffic: () => ({
      received: [...sockets].reduce((sum, { bytesRead }) => sum + bytesRead, closed.received),
      sent: [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, closed.sent),
    }),
    async close() {
      const ended = server.listening ? once(server, 'close') : undefined
      server.close()
      for (const watch of watches.values()) watch.close()
      for (const socket of sockets) socket.destroy()
      await ended
    },
  }
}

async function readCall(request: IncomingMessage): Promise<Call> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://localhost')
  let body = ''
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) body += chunk
  return { method: request.method ?? '', path: pathname, query: searchParams, headers: request.headers, body }
}

function nameOf(call: Call): string {
  const target = parseTarget(call.path)
  return (target && verbOf(call, target)) ?? call.method
}
