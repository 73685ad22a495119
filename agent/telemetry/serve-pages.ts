import type { AddressInfo, Socket } from 'node:net'
import { BlockList } from 'node:net'
import { createServer } from '../host/node-http.ts'
import type { Cidr } from '../ruleset/address.ts'

export type Address = { readonly host: string; readonly port: number }

export type Answer = { readonly status: number; readonly type: string; readonly text: string }

/** Pages by their path; each is told the address of who asks. */
export type Pages = ReadonlyMap<string, (asker: string | undefined) => Promise<Answer>>

export const noPage: Answer = { status: 404, type: 'text/plain', text: 'no such page\n' }

export type PagesServer = { readonly address: AddressInfo | string | null; readonly close: () => void }

export type PagesOptions = Address & {
  /** Whose connections are taken, beside those of the node itself; absent: everybody's. */
  readonly clients?: readonly Cidr[] | undefined
  /** A page could not be made. */
  readonly onError: (error: unknown) => void
}

/** Who asks are the kubelet and a few Prometheus servers, one at a time; nobody else shall fill the memory. */
const mostConnections = 64

/** In ms: a request is one line and a few headers. */
const requestMs = 10_000

/**
 * Answers at an address. Connections of others than the clients are reset before anything is read from them.
 *
 * @throws {Error} when the address cannot be used
 */
export async function servePages(
  { host, port, clients, onError }: PagesOptions,
  pages: Pages,
): Promise<PagesServer> {
  const options = { headersTimeout: requestMs, requestTimeout: requestMs }
  const server = createServer(options, (request, response) => {
    const send = ({ status, type, text }: Answer) =>
      response.writeHead(status, { 'content-type': type }).end(text)
    const page = pages.get(request.url ?? '')
    if (page === undefined) return void send(noPage)
    page(request.socket.remoteAddress).then(send, (error: unknown) => {
      send({ status: 500, type: 'text/plain', text: 'this page could not be made: see the log\n' })
      onError(error)
    })
  })
  server.maxConnections = mostConnections
  if (clients !== undefined) {
    const admits = createDoor(clients)
    server.prependListener('connection', (socket) => {
      if (!admits(socket)) socket.resetAndDestroy()
    })
  }
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () =>
      resolve({
        address: server.address(),
        close() {
          server.close()
          server.closeAllConnections()
        },
      }),
    )
  })
}

/** Tells who may come in. Nobody can make up the address that a connection comes from: it was answered there. */
function createDoor(clients: readonly Cidr[]): (socket: Socket) => boolean {
  const list = new BlockList()
  for (const { address, prefix, family } of clients) list.addSubnet(address, prefix, family)
  return ({ remoteAddress, localAddress, remoteFamily }) => {
    if (remoteAddress === undefined) return false
    return (
      remoteAddress === localAddress || list.check(remoteAddress, remoteFamily === 'IPv6' ? 'ipv6' : 'ipv4')
    )
  }
}
