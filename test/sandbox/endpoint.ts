/*
 * What runs on every host of a sandbox: takes one JSON request a line on stdin, answers one JSON line each on
 * stdout, and holds the network namespace open for as long as it lives. It ends when stdin does, so that nothing
 * outlives the process that made the sandbox. Its argument is the name of the host.
 */
import { createInterface } from 'node:readline'
import { call } from './call.ts'
import { createServers } from './listen.ts'
import type { Request, StreamCount } from './protocol.ts'
import { startStream } from './stream.ts'

const servers = createServers(process.argv[2] ?? 'host')
const streams = new Map<string, { stop: () => Promise<StreamCount> }>()

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void answer(line))
lines.on('close', end)
process.stdout.on('error', end)

function end(): never {
  process.exit(0) // eslint-disable-line unicorn/no-process-exit -- sockets are still open
}

async function answer(line: string): Promise<void> {
  const { id, request } = JSON.parse(line) as { id: number; request: Request }
  const result = await handle(request).then(
    (value) => ({ id, value }),
    (error: unknown) => ({ id, error: String(error) }),
  )
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

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
