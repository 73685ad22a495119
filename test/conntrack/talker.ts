/*
 * Clients and servers that keep their connections open: takes one JSON order a line on stdin, answers one JSON line
 * each on stdout, in order. It ends when stdin does.
 */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import type { Dial, Order, Seen } from './talk.ts'

type Client = { say(): void; close(): void; seen: { messages: number; ended?: string } }
type Serve = Order & { readonly kind: 'serve' }

const clients = new Map<string, Client>()
const ticking = new Set<NodeJS.Timeout>()
const tickMs = 5

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void answer(JSON.parse(line) as Order))
lines.on('close', () => process.exit(0)) // eslint-disable-line unicorn/no-process-exit -- sockets are still open

async function answer(order: Order): Promise<void> {
  const value = await obey(order).catch((error: unknown) => ({ error: String(error) }))
  process.stdout.write(`${JSON.stringify(value ?? null)}\n`)
}

async function obey(order: Order): Promise<Seen | undefined> {
  switch (order.kind) {
    case 'serve':
      return order.protocol === 'tcp' ? serveTcp(order) : serveUdp(order)
    case 'open':
      return void clients.set(order.name, await open(order.dial))
    case 'say':
      clients.get(order.name)?.say()
      return undefined
    case 'seen':
      return clients.get(order.name)?.seen
    case 'close all':
      return closeAll()
  }
}

async function serveTcp({ address, port, chatty }: Serve): Promise<undefined> {
  const server = createServer((socket) => {
    const timer = chatty ? tick(() => socket.write('tick')) : undefined
    socket.on('data', (data) => socket.write(data))
    socket.on('error', () => {}).on('close', () => clearInterval(timer))
  })
  // As most servers do it: a socket of IPv6 that serves IPv4 too.
  const own = address.includes(':') ? address : `::ffff:${address}`
  await new Promise<void>((resolve) => server.listen(port, own, resolve))
}

async function serveUdp({ address: own, port, chatty }: Serve): Promise<undefined> {
  const socket = createSocket(own.includes(':') ? 'udp6' : 'udp4')
  const peers = new Map<string, NodeJS.Timeout>()
  socket.on('message', (message, { address, port: source }) => {
    const peer = `${address} ${source}`
    socket.send(message, source, address)
    clearInterval(peers.get(peer))
    const again = () => socket.send('tick', source, address)
    if (chatty) peers.set(peer, tick(again))
  })
  await new Promise<void>((resolve) => socket.bind(port, own, resolve))
}

function tick(send: () => void): NodeJS.Timeout {
  const timer = setInterval(send, tickMs)
  ticking.add(timer)
  return timer
}

async function open(dial: Dial): Promise<Client> {
  return dial.protocol === 'tcp' ? openTcp(dial) : openUdp(dial)
}

async function openTcp({ source, address, port }: Dial): Promise<Client> {
  const seen: Client['seen'] = { messages: 0 }
  const socket = connect({ host: address, port, localAddress: source, noDelay: true })
  socket.on('data', () => (seen.messages += 1))
  socket.on('error', (error: NodeJS.ErrnoException) => (seen.ended = error.code ?? error.message))
  socket.on('close', () => (seen.ended ??= 'closed'))
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return { say: () => void socket.write('word'), close: () => socket.resetAndDestroy(), seen }
}

async function openUdp({ source, address, port }: Dial): Promise<Client> {
  const seen: Client['seen'] = { messages: 0 }
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', () => (seen.messages += 1))
  socket.on('error', (error: NodeJS.ErrnoException) => (seen.ended = error.code ?? error.message))
  await new Promise<void>((resolve) => socket.bind(0, source, resolve))
  await new Promise<void>((resolve) => socket.connect(port, address, resolve))
  return { say: () => socket.send('word'), close: () => socket.close(), seen }
}

function closeAll(): undefined {
  for (const client of clients.values()) client.close()
  for (const timer of ticking) clearInterval(timer)
  clients.clear()
  ticking.clear()
}
