import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import type { GetAccess } from './access.ts'

/**
 * Access by a kubeconfig: `file`, or the one that kubectl would use.
 *
 * The library knows every way to log in (certificates, exec plugins, OIDC, proxies), and costs 20 MB:
 * it is loaded only when there is no service account.
 */
export function kubeconfigAccess(file?: string): GetAccess {
  let config: KubeConfig | undefined
  return async (refused) => {
    if (config === undefined || refused !== undefined) config = await load(file)
    const headers: Record<string, string> = {}
    const tls: RequestOptions = { headers }
    // Adds to both: a login may be a header, a certificate, or an agent.
    await config.applyToHTTPSOptions(tls)
    return { server: serverOf(config), headers, tls }
  }
}

async function load(file: string | undefined): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js')
  const config = new KubeConfig()
  if (file === undefined) config.loadFromDefault()
  else config.loadFromFile(file)
  return config
}

function serverOf(config: KubeConfig): URL {
  const server = config.getCurrentCluster()?.server
  if (server === undefined) throw new Error('the kubeconfig has no current context')
  const url = new URL(server)
  // With no kubeconfig at all the library says http://localhost:8080.
  if (url.protocol !== 'https:') throw new Error(`no kubeconfig, or one without TLS: the server is ${server}`)
  return url
}
