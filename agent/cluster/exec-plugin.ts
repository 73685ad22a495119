import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js'
import * as z from 'zod'

const execShape = z.looseObject({
  apiVersion: z.string(),
  command: z.string(),
  env: z.array(z.unknown()).nullish(),
  provideClusterInfo: z.boolean().nullish(),
})

/** The user of a kubeconfig whose plugin is found where kubectl finds it: beside the file, if it names a folder. */
export function findPlugin(user: User, file: string): User {
  const { data: exec } = execShape.safeParse(user.exec)
  if (exec === undefined || !exec.command.includes('/') || isAbsolute(exec.command)) return user
  return { ...user, exec: { ...exec, command: resolve(dirname(file), exec.command) } }
}

/**
 * The same with what the plugin is told in its environment: how to answer, and of which cluster where it wants to know
 * (client.authentication.k8s.io). The library tells nothing, and plugins made with the library of kubectl then end.
 */
export function tellPlugin(user: User, cluster: Cluster): User {
  const { data: exec } = execShape.safeParse(user.exec)
  if (exec === undefined) return user
  const spec = {
    ...(exec.provideClusterInfo === true ? { cluster: describeCluster(cluster) } : {}),
    interactive: false,
  }
  const value = JSON.stringify({ kind: 'ExecCredential', apiVersion: exec.apiVersion, spec })
  return {
    ...user,
    exec: { ...exec, env: [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value }] },
  }
}

function describeCluster({ server, tlsServerName, skipTLSVerify, proxyUrl, caFile, caData }: Cluster) {
  return {
    server,
    'tls-server-name': tlsServerName,
    'insecure-skip-tls-verify': skipTLSVerify || undefined,
    'certificate-authority-data': caFile === undefined ? caData : readFileSync(caFile).toString('base64'),
    'proxy-url': proxyUrl,
    config: null,
  }
}
