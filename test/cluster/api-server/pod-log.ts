import { once } from 'node:events'
import { connect, isIPv6 } from 'node:net'
import { z } from 'zod'
import { codeOf, messageOf } from '../../../agent/errors.ts'
import type { Reply, World } from './call.ts'
import { NODES, PODS } from './resources.ts'
import type { Target } from './resources.ts'
import { Refusal, badRequest, failure, notFound } from './statuses.ts'

/**
 * The log of a pod. A real server asks the kubelet for it, over TLS; this one opens a connection to the kubelet's
 * address, if its Node has one, and then makes the answer up. When no connection comes about it says what a real one
 * says: 500, with the error of the call in Go that failed, and without a reason.
 */
export async function readLog(
  { store, kubelet }: World,
  target: Target,
  query: URLSearchParams,
): Promise<Reply> {
  const { namespace = '', name = '' } = target
  const found = store.get(PODS, namespace, name)
  if (found === undefined) throw notFound(PODS, name)
  const { nodeName, containers } = pod.parse(found).spec
  const container = query.get('container') ?? containers[0]?.name ?? ''
  if (!containers.some((each) => each.name === container)) {
    throw badRequest(`container ${container} is not valid for pod ${name}`)
  }
  const node = store.get(NODES, undefined, nodeName)
  if (node === undefined) throw notFound(NODES, nodeName)
  const { addresses, daemonEndpoints } = nodeBody.parse(node).status
  const address = addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (address !== undefined) {
    const port = daemonEndpoints?.kubeletEndpoint.Port ?? 10_250
    const at = `${isIPv6(address) ? `[${address}]` : address}:${port}`
    const path = `/containerLogs/${namespace}/${name}/${container}${asked(query)}`
    if (kubelet.readLog !== undefined) return passOn(kubelet.readLog({ address, port, path }))
    const problem = await dial(address, port, kubelet.dialTimeoutMs)
    if (problem !== undefined) {
      throw new Refusal(failure(500, undefined, `Get "https://${at}${path}": dial tcp ${at}: ${problem}`))
    }
  }
  return { code: 200, text: cut(kubelet.log, query), headers: { 'Content-Type': 'text/plain' } }
}

async function passOn(log: Promise<string>): Promise<Reply> {
  const text = await log.catch((error: unknown) => {
    throw new Refusal(failure(500, undefined, messageOf(error)))
  })
  return { code: 200, text, headers: { 'Content-Type': 'text/plain' } }
}

/** What Go calls the reason why there is no connection; undefined when there was one. */
async function dial(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  const socket = connect({ host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) })
    return undefined
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return 'i/o timeout'
    return `connect: ${GO_SAYS[codeOf(error) ?? ''] ?? String(error)}`
  } finally {
    socket.destroy()
  }
}

const GO_SAYS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
}

/** What the kubelet is asked for, in the order of the alphabet. */
function asked(query: URLSearchParams): string {
  const forServer = ['container', 'insecureSkipTLSVerifyBackend']
  const passed = [...query]
    .filter(([key]) => !forServer.includes(key))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return passed.length === 0 ? '' : `?${new URLSearchParams(passed).toString()}`
}

function cut(log: string, query: URLSearchParams): string {
  const lines = log.split(/(?<=\n)/)
  const tail = query.get('tailLines')
  const text = tail === null ? log : lines.slice(-Number(tail)).join('')
  return text.slice(0, Number(query.get('limitBytes') ?? text.length))
}

const pod = z.object({
  spec: z.object({ nodeName: z.string(), containers: z.array(z.object({ name: z.string() })) }),
})

const nodeBody = z.object({
  status: z.object({
    addresses: z.array(z.object({ type: z.string(), address: z.string() })).optional(),
    daemonEndpoints: z.object({ kubeletEndpoint: z.object({ Port: z.number() }) }).optional(),
  }),
})
