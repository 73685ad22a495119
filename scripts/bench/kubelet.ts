import type { Backend } from '../../agent/netfilter/backend.ts'
import type { Host } from '../../test/sandbox/host.ts'

/** Leaves the hint by which the kubelet tells others the backend of the host (KEP-3178), so the agent finds it. */
export async function hintBackend({ exec }: Host, backend: Backend): Promise<void> {
  for (const iptables of [`iptables-${backend}`, `ip6tables-${backend}`]) {
    await exec(iptables, ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])
  }
}
