import { once } from 'node:events'
import { createServer } from 'node:https'
import type { Kubelet } from '../api-server/call.ts'

/** The one kubelet of all Nodes, as far as an API server asks it for logs. */
export async function startKubelet(key: Buffer, cert: Buffer, kubelet: Kubelet) {
  const server = createServer({ key, cert }, (_request, response) => void response.end(kubelet.log))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
