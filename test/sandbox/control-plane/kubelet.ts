/*
 * The kubelet of a node: renews its Lease, and answers with logs of containers at port 10250.
 */
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '../../cluster/api-server/credentials.ts'
import { readSetting, serveMethods } from '../service.ts'
import { kubeletPort } from './addresses.ts'
import { renewLease } from './lease.ts'
import type { LeaseAccess } from './lease.ts'

export type KubeletSetting = {
  readonly node: string
  readonly kubeconfig: string
  /** Time between two renewals of the Lease. */
  readonly leaseEveryMs: number
}

type Kubeconfig = {
  readonly clusters: readonly [
    { readonly cluster: { readonly server: string; readonly 'certificate-authority': string } },
  ]
  readonly users: readonly [{ readonly user: { readonly token: string } }]
}

// The name of the process, too, by which the agent finds it; its title would take the place of its command line.
await writeFile('/proc/self/comm', 'kubelet')

const { node, kubeconfig, leaseEveryMs } = readSetting() as KubeletSetting

let logsRead = 0
await serveLogs()
const lease = renewLease({ access: await readAccess(kubeconfig), node, everyMs: leaseEveryMs })

const methods = {
  /** What has become of attempts to renew the Lease. */
  lease: () => lease.counts,
  /** From now on it finds the API server by another kubeconfig. */
  turnTo: async (file: string) => lease.turnTo(await readAccess(file)),
  /** No more renewals, as of a kubelet that hangs, until it goes on. */
  pauseLease: () => lease.pause(true),
  resumeLease: () => lease.pause(false),
  /** How often the API server has asked for a log. */
  logsRead: () => logsRead,
}
export type KubeletMethods = typeof methods
serveMethods(methods)

async function readAccess(file: string): Promise<LeaseAccess> {
  const { clusters, users } = JSON.parse(await readFile(file, 'utf8')) as Kubeconfig
  const { server, 'certificate-authority': caFile } = clusters[0].cluster
  return { server, ca: await readFile(caFile), token: users[0].user.token }
}

async function serveLogs(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kubelet-'))
  const { caFile: certFile, keyFile } = await makeCertificate(folder)
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)])
  await rm(folder, { recursive: true })
  const logs = createServer({ cert, key }, ({ url = '' }, response) => {
    const isLog = url.startsWith('/containerLogs/')
    if (isLog) logsRead += 1
    response.writeHead(isLog ? 200 : 404, { 'content-type': 'text/plain' })
    response.end(isLog ? '{"level":"info","msg":"a line of a log"}\n' : '404 page not found\n')
  })
  await once(logs.listen({ port: kubeletPort, host: '::' }), 'listening')
}
