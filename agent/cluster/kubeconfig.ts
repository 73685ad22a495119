import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import type { GetAccess } from './access.ts'
import { tellPlugin } from './exec-plugin.ts'
import { loadKubeconfig } from './load-kubeconfig.ts'
import { proxyFor } from './proxy.ts'

/** Somebody names a context that the kubeconfig does not have. */
export class UnknownContextError extends Error {
  override readonly name = 'UnknownContextError'
}

/**
 * Access by a kubeconfig and one of its contexts: those that are given, or those that kubectl would use.
 *
 * The library knows every way to log in (certificates, exec plugins, OIDC, proxies), and costs 20 MB:
 * it is loaded only when there is no service account.
 */
export function kubeconfigAccess(file?: string, context?: string): GetAccess {
  let config: KubeConfig | undefined
  return async (refused) => {
    if (config === undefined || refused !== undefined) config = await load(file, context)
    const server = serverOf(config)
    const headers: Record<string, string> = {}
    const isProxied = config.getCurrentCluster()?.proxyUrl !== undefined
    const tls: RequestOptions = { headers, ...(isProxied ? { timeout: proxyMs } : {}) }
    // Adds to both: a login may be a header, a certificate, or an agent.
    await config.applyToHTTPSOptions(tls)
    return { server, headers: trimmed(headers), tls }
  }
}

/**
 * How long a proxy may take to open a way, in ms. The library does not end its attempt with the request, and the program
 * cannot end before it.
 */
const proxyMs = 5_000

async function load(file: string | undefined, context: string | undefined): Promise<KubeConfig> {
  const config = await loadKubeconfig(file)
  if (context !== undefined) choose(config, context)
  const cluster = config.getCurrentCluster()
  if (cluster === null) return config
  // A proxy that the kubeconfig names goes before that of the environment.
  const proxyUrl = cluster.proxyUrl ?? proxyFor(new URL(cluster.server), process.env)
  const current = { ...cluster, ...(proxyUrl === undefined ? {} : { proxyUrl }) }
  const user = config.getCurrentUser()
  config.clusters = config.clusters.map((one) => (one.name === current.name ? current : one))
  config.users = config.users.map((one) => (one.name === user?.name ? tellPlugin(one, current) : one))
  return config
}

/** Tokens are read from files, and these end with a line. */
function trimmed(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.trim()]))
}

function choose(config: KubeConfig, context: string): void {
  const names = config.getContexts().map(({ name }) => name)
  if (!names.includes(context)) {
    throw new UnknownContextError(
      `found no context "${context}" in the kubeconfig, expected one of: ${names.join(', ')}`,
    )
  }
  config.setCurrentContext(context)
}

function serverOf(config: KubeConfig): URL {
  const server = config.getCurrentCluster()?.server
  if (server === undefined) throw new Error('the kubeconfig has no current context')
  const url = new URL(server)
  // With no kubeconfig at all the library says http://localhost:8080.
  if (url.protocol !== 'https:') throw new Error(`no kubeconfig, or one without TLS: the server is ${server}`)
  return url
}
