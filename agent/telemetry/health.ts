import type { Server } from 'node:http'

// An import would read every export of the module, among them WebSocket, which loads 5 MB that nobody needs here.
const { createServer } = process.getBuiltinModule('node:http')

export type Health = {
  /** Nothing if the agent is well, else why a restart is due. */
  readonly ailment: () => string | undefined
  /** Nothing if what should be in force was read back, else what is wrong. */
  readonly unready: () => string | undefined
}

export type HealthPages = Health & {
  /** What was denied of late, for people on the node; absent: nobody looks. */
  readonly denied?: () => unknown
}

/**
 * Answers the kubelet's probes: `/healthz` fails only for what a restart can mend, `/readyz` while the rules in
 * the kernel are not known to be those that should be there. `/denied` answers nobody but this host, wherever the others
 * are answered: it names who was turned away.
 *
 * @throws {Error} when the address is taken
 */
export async function serveHealth(
  { host, port }: { host: string; port: number },
  health: HealthPages,
): Promise<Server> {
  const checks = new Map([
    ['/healthz', health.ailment],
    ['/readyz', health.unready],
  ])
  const server = createServer((request, response) => {
    if (request.url === '/denied' && isLoopback(request.socket.remoteAddress)) {
      response.setHeader('content-type', 'application/json')
      response.end(`${JSON.stringify(health.denied?.() ?? null)}\n`)
      return
    }
    const check = checks.get(request.url ?? '')
    const complaint = check === undefined ? 'no such page' : check()
    response.statusCode = check === undefined ? 404 : complaint === undefined ? 200 : 503
    response.setHeader('content-type', 'text/plain')
    response.end(`${complaint ?? 'ok'}\n`)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve(server))
  })
}

function isLoopback(address = ''): boolean {
  return /^(?:::ffff:)?127\.|^::1$/.test(address)
}
