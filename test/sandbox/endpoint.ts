/*
 * What runs on every host of a sandbox: takes one JSON request a line on stdin, answers one JSON line each on
 * stdout, and holds the network namespace open for as long as it lives. It ends when stdin does, so that nothing
 * outlives the process that made the sandbox.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import type { Outcome, Probe, Request, StreamCount } from './protocol.ts'

const received = new Map<number, number>()
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
      return request.protocol === 'tcp' ? listenTcp(request.port) : listenUdp(request.port)
    case 'probe':
      return request.protocol === 'tcp' ? probeTcp(request) : probeUdp(request)
    case 'received':
      return received.get(request.port) ?? 0
    case 'stream':
      return void streams.set(request.name, startStream(request))
    case 'stop':
      return streams.get(request.name)?.stop()
  }
}

/** Both families: `::` takes IPv4 too. */
async function listenTcp(port: number): Promise<void> {
  const server = createServer((socket) => {
    received.set(port, (received.get(port) ?? 0) + 1)
    socket.on('error', () => {}).on('data', (data) => socket.write(data))
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen({ port, host: '::' }, resolve)
  })
}

async function listenUdp(port: number): Promise<void> {
  const socket = createSocket({ type: 'udp6', recvBufferSize: 4 * 1024 * 1024 })
  socket.on('message', (message, { address, port: source }) => {
    received.set(port, (received.get(port) ?? 0) + 1)
    socket.send(message, source, address)
  })
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.bind(port, '::', resolve)
  })
}

async function probeTcp({ address, port, source, silenceMs }: Probe): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, ...(source === undefined ? {} : { localAddress: source }) })
    const finish = (outcome: Outcome) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(outcome)
    }
    const timer = setTimeout(() => finish('silence'), silenceMs)
    socket.on('connect', () => finish('accepted'))
    socket.on('error', (error: NodeJS.ErrnoException) => finish(refusal(error)))
  })
}

async function probeUdp({ address, port, source, silenceMs }: Probe): Promise<Outcome> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  if (source !== undefined) await new Promise<void>((resolve) => socket.bind(0, source, resolve))
  return new Promise((resolve) => {
    const finish = (outcome: Outcome) => {
      clearTimeout(timer)
      socket.close()
      resolve(outcome)
    }
    const timer = setTimeout(() => finish('silence'), silenceMs)
    socket.on('message', () => finish('accepted'))
    socket.on('error', (error: NodeJS.ErrnoException) => finish(refusal(error)))
    socket.connect(port, address, () => socket.send('probe'))
  })
}

function refusal(error: NodeJS.ErrnoException): Outcome {
  if (error.code === 'ECONNREFUSED') return 'refused'
  throw error
}

/**
 * Datagrams without end: `blast` sends as fast as it can, `echo` sends the next when the answer is there, so
 * that each one that gets lost on the way is noticed.
 */
function startStream({ address, port, mode }: Request & { kind: 'stream' }) {
  const count: StreamCount = { sent: 0, answered: 0, lost: 0 }
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  let running = true
  let timer: NodeJS.Timeout | undefined
  const lostAfterMs = 500
  const next = () => {
    clearTimeout(timer)
    if (!running) return
    for (let burst = mode === 'blast' ? 32 : 1; burst > 0; burst -= 1) {
      count.sent += 1
      socket.send('datagram')
    }
    // Without a pause between bursts the order to stop would never be read.
    if (mode === 'blast') setImmediate(next)
    else timer = setTimeout(miss, lostAfterMs)
  }
  const miss = () => {
    count.lost += 1
    next()
  }
  socket.on('message', () => {
    count.answered += 1
    if (mode === 'echo') next()
  })
  socket.on('error', () => (mode === 'echo' ? miss() : undefined))
  socket.connect(port, address, next)
  return {
    async stop() {
      running = false
      clearTimeout(timer)
      await closeSocket(socket)
      return count
    },
  }
}

async function closeSocket(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.close(() => resolve()))
}
