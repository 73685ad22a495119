import { findAccess } from '../../agent/cluster/access.ts'
import { createClusterProbes } from '../../agent/cluster/cluster-probes.ts'
import type { ClusterProbesOptions } from '../../agent/cluster/cluster-probes.ts'
import type { Probe } from '../../agent/probes/probe.ts'
import type { ApiServer } from './api-server.ts'
import type { Options } from './cluster-server.ts'
import { NODE, hurriedClock, startServer } from './own-node-fixture.ts'

export const POD = 'node-firewall-7gv9h'

/** What the messages of each probe begin with. */
export const REQUESTS = {
  'api server': `GET /api/v1/nodes/${NODE}`,
  lease: `GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${NODE}`,
  'kubelet log': `GET /api/v1/namespaces/node-firewall/pods/${POD}/log`,
} as const

/** A cluster in which everything works: a Node, its Lease of this moment, and the agent's pod on it. */
export async function startWorking(options: Options = {}): Promise<ApiServer> {
  const server = await startServer(options)
  server.objects.renewLease(NODE)
  server.objects.createPod('node-firewall', POD, NODE)
  return server
}

/** How a pod finds the server. */
export function accessTo(server: ApiServer) {
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  return { getAccess: findAccess(env, server.serviceAccountDir) }
}

/** The agent's probes, with a clock that tells the time and whose waits take none. */
export function probesOf(server: ApiServer, options: Partial<ClusterProbesOptions> = {}): readonly Probe[] {
  const clock = { ...hurriedClock().clock, date: () => Date.now() }
  const own = { nodeName: NODE, namespace: 'node-firewall', podName: POD }
  return createClusterProbes({ ...own, ...accessTo(server), clock, ...options })
}

export function probeOf(server: ApiServer, name: string, options: Partial<ClusterProbesOptions> = {}): Probe {
  const probe = probesOf(server, options).find((each) => each.name === name)
  if (probe === undefined) throw new Error(`there is no probe called ${name}`)
  return probe
}

/** Why an attempt failed; throws when it did not. */
export async function failureOf(attempt: Promise<void>): Promise<unknown> {
  return await attempt.then(
    () => {
      throw new Error('the probe passed')
    },
    (error: unknown) => error,
  )
}
