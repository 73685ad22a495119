import { setTimeout as sleep } from 'node:timers/promises'
import type { Family } from '../../../agent/ruleset/address.ts'
import { apiServerUrl } from '../control-plane.ts'
import type { ControlPlane } from '../control-plane.ts'
import { controlPlaneAddress } from './addresses.ts'

/** What a node cannot do without, by the names of the agent's probes. */
export const vitals = ['api server', 'lease', 'kubelet log', 'cluster dns'] as const
export type Vital = (typeof vitals)[number]

/** By which addresses a node and its control plane speak to each other. */
export type Ways = {
  readonly family: Family
  /** Where processes of the node, other than the kubelet, find the API server. */
  readonly apiServer: 'endpoint' | 'balancer' | 'service'
  /** Where the kubelet finds it. */
  readonly kubelet: 'endpoint' | 'balancer'
  /** Where the API server calls kubelets from. */
  readonly calls: 'endpoint' | 'balancer'
}

/** All that is spoken is between addresses that the cluster tells of. */
export const plainWays: Ways = {
  family: 'ipv4',
  apiServer: 'endpoint',
  kubelet: 'endpoint',
  calls: 'endpoint',
}

/** Lets both sides go these ways from now on; resolves to the kubeconfig for others than the kubelet. */
export async function takeWays({ apiServer, kubelet }: ControlPlane, ways: Ways): Promise<string> {
  await apiServer.callKubelets(ways.family, ways.calls)
  await kubelet.turnTo(await apiServer.writeKubeconfig('kubelet', apiServerUrl(ways.kubelet, ways.family)))
  return apiServer.writeKubeconfig('agent', apiServerUrl(ways.apiServer, ways.family))
}

/** Looks what works over new connections, after all that stand were cut; resolves to what does not. */
export async function findCut(sandbox: ControlPlane, { family }: Ways, kubeconfig: string): Promise<Vital[]> {
  const { apiServer, client } = sandbox
  await Promise.all([apiServer.cutConnections(), apiServer.closeKubeletConnections()])
  const checks: Readonly<Record<Vital, () => Promise<unknown>>> = {
    'api server': async () => client.readNode(kubeconfig),
    lease: async () => seeLease(sandbox),
    'kubelet log': async () => apiServer.readLog(family),
    'cluster dns': async () =>
      client.lookUp(controlPlaneAddress.dns[family], 'kubernetes.default.svc.cluster.local'),
  }
  const cut = vitals.map(async (vital) =>
    checks[vital]().then(
      () => [],
      () => [vital],
    ),
  )
  return (await Promise.all(cut)).flat()
}

/** Of an attempt that was under way when connections were cut, nobody knows what to expect: so two have to agree. */
async function seeLease({ kubelet }: ControlPlane): Promise<void> {
  const before = await kubelet.lease()
  for (;;) {
    const { renewed, failed, failure } = await kubelet.lease()
    if (renewed >= before.renewed + 2) return
    if (failed >= before.failed + 2) throw new Error(failure)
    await sleep(10)
  }
}
