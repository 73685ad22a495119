import type { Server } from 'node:http'

// An import would read every export of the module, among them WebSocket, which loads 5 MB that nobody needs here.
const { createServer } = process.getBuiltinModule('node:http')

export type Health = {
  /** Nothing if the agent is well, else why a restart is due. */
  readonly ailment: () => string | undefined
  /** Nothing if what should be in force was read back, else what is wrong. */
  readonly unready: () => string | undefined
}

/**
 * Answers the kubelet's probes: `/healthz` fails only for what a restart can mend, `/readyz` while the rules in
 * the kernel are not known to be those that should be there.
 *
 * @throws {Error} when the address is taken
 */
export async function serveHealth(
  { host, port }: { host: string; port: number },
  health: Health,
): Promise<Server> {
  const checks = new Map([
    ['/healthz', health.ailment],
    ['/readyz', health.unready],
  ])
  const server = createServer((request, response) => {
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
