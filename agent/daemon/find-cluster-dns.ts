import type { FindClusterDns } from '../cluster/cluster-dns.ts'
import type { TargetPid } from '../host/exec.ts'
import { findKubelet, isStillKubelet, readKubeletSettings } from '../host/kubelet.ts'
import type { Kubelet } from '../host/kubelet.ts'

/** Where a kubelet is looked for: the folder of processes, and ms of a clock that nobody can set. */
export type Whereabouts = { readonly proc: string; readonly now: () => number }

const here: Whereabouts = { proc: '/proc', now: () => performance.now() }

/** A look goes over all processes, and each edit of rules waits for it. */
const lookEveryMs = 60_000

/**
 * The addresses of the cluster's DNS: those that the kubelet of this node tells its pods, whatever the Service behind them
 * is called, and also where it is a cache on the node itself. A kubelet reads them when it starts, and so they are read
 * once for each. Where they cannot be read, `ask` is asked.
 */
export function findClusterDns(
  targetPid: TargetPid,
  ask: FindClusterDns,
  { proc, now }: Whereabouts = here,
): FindClusterDns {
  let known: { readonly kubelet: Kubelet; readonly told: readonly string[] } | undefined
  let lookedAt = -Infinity
  const look = async () => {
    const kubelet = await findKubelet(targetPid, proc).catch(() => undefined)
    const told = kubelet === undefined ? [] : (await readKubeletSettings(kubelet, proc)).clusterDns
    return kubelet === undefined || told.length === 0 ? undefined : { kubelet, told }
  }
  return async (signal) => {
    if (known !== undefined && (await isStillKubelet(known.kubelet, proc))) return known.told
    const isDue = known !== undefined || now() - lookedAt >= lookEveryMs
    known = undefined
    if (isDue) {
      lookedAt = now()
      known = await look()
    }
    return known?.told ?? ask(signal)
  }
}
