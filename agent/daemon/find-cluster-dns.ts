import type { FindClusterDns } from '../cluster/cluster-dns.ts'
import type { TargetPid } from '../host/exec.ts'
import { findKubelet, isStillKubelet, readKubeletSettings } from '../host/kubelet.ts'
import type { Kubelet } from '../host/kubelet.ts'

/**
 * The addresses of the cluster's DNS: those that the kubelet of this node tells its pods, whatever the Service behind them
 * is called, and also where it is a cache on the node itself. Where they cannot be read, `ask` is asked.
 */
export function findClusterDns(targetPid: TargetPid, ask: FindClusterDns, proc = '/proc'): FindClusterDns {
  let kubelet: Kubelet | undefined
  return async (signal) => {
    // It is looked for among all processes, and each edit of rules waits for that.
    const isStill = kubelet !== undefined && (await isStillKubelet(kubelet, proc))
    if (!isStill) kubelet = await findKubelet(targetPid, proc).catch(() => undefined)
    const told = kubelet === undefined ? [] : (await readKubeletSettings(kubelet, proc)).clusterDns
    if (told.length > 0) return told
    kubelet = undefined
    return ask(signal)
  }
}
