import type { FindClusterDns } from '../cluster/cluster-dns.ts'
import type { TargetPid } from '../host/exec.ts'
import { findKubelet, readKubeletSettings } from '../host/kubelet.ts'

/**
 * The addresses of the cluster's DNS: those that the kubelet of this node tells its pods, whatever the Service behind them
 * is called, and also where it is a cache on the node itself. Where they cannot be read, `ask` is asked.
 */
export function findClusterDns(targetPid: TargetPid, ask: FindClusterDns, proc = '/proc'): FindClusterDns {
  return async (signal) => {
    const kubelet = await findKubelet(targetPid, proc).catch(() => undefined)
    const told = kubelet === undefined ? [] : (await readKubeletSettings(kubelet, proc)).clusterDns
    return told.length > 0 ? told : ask(signal)
  }
}
