import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Protocol, Visit } from './protocol.ts'

/** What a client sends to be told what the server sees of it; anything else is sent back as it is. */
export const question = 'who am I?'

/** The processes of a host that answer, and what has reached them. */
export type Servers = {
  listen(protocol: Protocol, port: number): Promise<void>
  /** How many connections and datagrams have come in on a port. */
  received(port: number): number
  /** The latest of them, oldest first. */
  visits(port: number): readonly Visit[]
}

/** A stream of datagrams must not fill the memory. */
const visitsKept = 100

/** @param name that the host goes by in what its servers tell. */
export function createServers(name: string): Servers {
  const counts = new Map<number, number>()
  const visits = new Map<number, Visit[]>()

  const enter = (visit: Visit) => {
    counts.set(visit.port, (counts.get(visit.port) ?? 0) + 1)
    const list = visits.get(visit.port) ?? []
    visits.set(visit.port, list)
    list.push(visit)
    if (list.length > visitsKept) list.shift()
  }

  /** Both families: `::` takes IPv4 too. */
  const listenTcp = async (port: number) => {
    const server = createServer((socket) => {
      const { localAddress, remoteAddress, remotePort } = socket
      const visit = describe('tcp', port, localAddress, { address: remoteAddress, port: remotePort })
      enter(visit)
      socket.on('error', () => {}).on('data', (data) => socket.write(answerTo(data, visit)))
    })
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen({ port, host: '::' }, resolve)
    })
  }

  /** A socket for each address: from one for all, answers would leave with the address that routing chooses. */
  const listenUdp = async (port: number) => {
    await Promise.all([...ownAddresses(), '::'].map(async (address) => bindUdp(address, port)))
  }

  const bindUdp = async (address: string, port: number) => {
    const type = address.includes(':') ? 'udp6' : 'udp4'
    const socket = createSocket({ type, recvBufferSize: 4 * 1024 * 1024, reuseAddr: true })
    socket.on('message', (message, client) => {
      const visit = describe('udp', port, address, client)
      enter(visit)
      // The error of an answer that cannot leave is for nobody.
      socket.send(answerTo(message, visit), client.port, client.address, () => {})
    })
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.bind(port, address, resolve)
    })
  }

  const describe = (
    protocol: Protocol,
    port: number,
    address: string | undefined,
    client: { readonly address: string | undefined; readonly port: number | undefined },
  ): Visit => ({
    server: name,
    protocol,
    port,
    address: plain(address ?? '::'),
    client: plain(client.address ?? '::'),
    clientPort: client.port ?? 0,
  })

  return {
    listen: async (protocol, port) => (protocol === 'tcp' ? listenTcp(port) : listenUdp(port)),
    received: (port) => counts.get(port) ?? 0,
    visits: (port) => visits.get(port) ?? [],
  }
}

function answerTo(message: Buffer, visit: Visit): Buffer | string {
  return message.toString() === question ? JSON.stringify(visit) : message
}

function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.filter(({ scopeid = 0 }) => scopeid === 0).map(({ address }) => address)
}

/** A socket that takes both families shows IPv4 as `::ffff:192.0.2.1`. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, '')
}
