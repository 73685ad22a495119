import { Agent, get } from 'node:https'
import { isIPv6 } from 'node:net'
import type { LogAddress } from '../../cluster/api-server/call.ts'
import { controlPlaneAddress } from './addresses.ts'

export type KubeletClient = {
  /** The log of a container; rejects with what a real API server says when the kubelet does not answer in time. */
  readLog(log: LogAddress): Promise<string>
  /** Which one of the API server's addresses connections come from. */
  callFrom(source: Source): void
  /** Idle connections end. */
  closeConnections(): void
}

type Source = 'endpoint' | 'balancer'

/**
 * How the API server speaks to kubelets: over connections that it keeps and uses again for 90 s (net/http in Go), one
 * set for each way to check certificates (`makeTransport` in Kubernetes).
 *
 * @param timeoutMs for a whole answer; a real one waits 30 s for a connection.
 */
export function createKubeletClient(timeoutMs: number): KubeletClient {
  let from: Source = 'endpoint'
  // Kubelets sign their certificates themselves, unless a cluster is told to do better.
  const createAgent = () => new Agent({ keepAlive: true, timeout: 90_000, rejectUnauthorized: false })
  const agents = { checked: createAgent(), unchecked: createAgent() }
  const closeConnections = () => Object.values(agents).forEach((agent) => agent.destroy())

  return {
    closeConnections,
    callFrom(source) {
      from = source
      closeConnections()
    },
    async readLog({ address, port, path }) {
      const at = `${isIPv6(address) ? `[${address}]` : address}:${port}`
      const url = `https://${at}${path}`
      const agent = path.includes('insecureSkipTLSVerifyBackend=true') ? agents.unchecked : agents.checked
      const signal = AbortSignal.timeout(timeoutMs)
      const localAddress = controlPlaneAddress[from][isIPv6(address) ? 'ipv6' : 'ipv4']
      return new Promise((resolve, reject) => {
        const fail = (error: NodeJS.ErrnoException) => {
          const why = signal.aborted ? 'i/o timeout' : (error.code ?? error.message)
          reject(new Error(`Get "${url}": dial tcp ${at}: ${why}`))
        }
        const outgoing = get(url, { agent, signal, localAddress }, (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          answer.on('end', () => resolve(text)).on('error', fail)
        })
        outgoing.on('error', fail)
      })
    },
  }
}
