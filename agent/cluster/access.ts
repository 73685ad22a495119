import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import type { RequestOptions } from 'node:https'
import { kubeconfigAccess } from './kubeconfig.ts'

/** Where the API server is and what a request has to bring along. */
export type Access = {
  readonly server: URL
  readonly headers: Readonly<Record<string, string>>
  /** CA, client certificate, agent for a proxy. */
  readonly tls: RequestOptions
}

/** `refused` is the access that the server did not take (401): another one is wanted. */
export type GetAccess = (refused?: Access) => Promise<Access>

export type Env = Readonly<Record<string, string | undefined>>

export const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

/** The service account of the pod; outside of a pod the kubeconfig that kubectl would use. */
export function findAccess(env: Env, serviceAccountDir = SERVICE_ACCOUNT_DIR): GetAccess {
  const host = env['KUBERNETES_SERVICE_HOST']
  if (host === undefined || host === '') return kubeconfigAccess()
  return podAccess(serverUrl(host, env['KUBERNETES_SERVICE_PORT'] ?? '443'), serviceAccountDir)
}

/** Token and CA are read for every request: they rotate, requests are few, and the files sit in memory. */
export function podAccess(server: URL, serviceAccountDir: string): GetAccess {
  return async () => {
    const [token, ca] = await Promise.all([
      readFile(path.join(serviceAccountDir, 'token'), 'utf8'),
      readFile(path.join(serviceAccountDir, 'ca.crt'), 'utf8'),
    ])
    return { server, headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } }
  }
}

function serverUrl(host: string, port: string): URL {
  return new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`)
}
