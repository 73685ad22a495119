/*
 * What runs on every host of a sandbox, and holds the network namespace open for as long as it lives. Its argument is
 * the name of the host.
 */
import { call } from './call.ts'
import { createServers } from './listen.ts'
import type { Request, StreamCount } from './protocol.ts'
import { serveRequests } from './serve-requests.ts'
import { startStream } from './stream.ts'

const servers = createServers(process.argv[2] ?? 'host')
const streams = new Map<string, { stop: () => Promise<StreamCount> }>()

serveRequests(async (request) => handle(request as Request))

async function handle(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'listen':
      return servers.listen(request.protocol, request.port)
    case 'probe':
      return (await call({ ...request, ask: false })).outcome
    case 'call':
      return call({ ...request, ask: true })
    case 'received':
      return servers.received(request.port)
    case 'visits':
      return servers.visits(request.port)
    case 'stream':
      return void streams.set(request.name, startStream(request))
    case 'stop':
      return streams.get(request.name)?.stop()
  }
}
