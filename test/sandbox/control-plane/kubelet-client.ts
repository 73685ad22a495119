import { Agent, get } from 'node:https'
import { isIPv6 } from 'node:net'
import { controlPlaneAddress, kubeletPort } from './addresses.ts'

export type KubeletClient = {
  /** The log of a container; rejects with what a real API server says when the kubelet does not answer in time. */
  readLog(log: LogOf): Promise<string>
  /** Which one of the API server's addresses connections come from. */
  callFrom(source: Source): void
  /** Idle connections end. */
  closeConnections(): void
}

type Source = 'endpoint' | 'balancer'

export type LogOf = {
  /** Address of the node. */
  readonly address: string
  readonly namespace: string
  readonly pod: string
  readonly container: string
  /** A real API server has another set of connections for it. */
  readonly insecureSkipTlsVerifyBackend?: boolean
}

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
    async readLog({ address, namespace, pod, container, insecureSkipTlsVerifyBackend = false }) {
      const host = isIPv6(address) ? `[${address}]` : address
      const url = `https://${host}:${kubeletPort}/containerLogs/${namespace}/${pod}/${container}`
      const agent = insecureSkipTlsVerifyBackend ? agents.unchecked : agents.checked
      const signal = AbortSignal.timeout(timeoutMs)
      const localAddress = controlPlaneAddress[from][isIPv6(address) ? 'ipv6' : 'ipv4']
      return new Promise((resolve, reject) => {
        const fail = (error: NodeJS.ErrnoException) => {
          const why = signal.aborted ? 'i/o timeout' : (error.code ?? error.message)
          reject(new Error(`Get "${url}": dial tcp ${host}:${kubeletPort}: ${why}`))
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
