import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import type { Cluster } from '../sandbox/cluster.ts'

/** Ports of the node that lead to a pod's, as NodePorts do: each to the port that is so much lower. */
export const translated = { first: 20_000, last: 27_999, lowerBy: 8_000 }

/** Makes the node translate them, in addition to what the Services of the cluster need. */
export async function translatePorts({ node }: Cluster, backend: Backend): Promise<void> {
  const { first, last, lowerBy } = translated
  for (const family of families) {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`
    const pod = family === 'ipv4' ? clusterAddress.pod.ipv4 : `[${clusterAddress.pod.ipv6}]`
    const target = `${pod}:${first - lowerBy}-${last - lowerBy}/${first}`
    for (const protocol of ['tcp', 'udp']) {
      const match = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-p', protocol, '--dport', `${first}:${last}`]
      const rule = ['PREROUTING', ...match, '-j', 'DNAT', '--to-destination', target]
      await node.exec(program, ['-t', 'nat', '-A', ...rule])
    }
  }
}
