/**
 * Sets that every ruleset may name and none may define, and that are the same everywhere. `private` is RFC 1918
 * and RFC 4193. `metadata` is where clouds tell instances their secrets. Azure's 168.63.129.16 is none of them: it
 * has duties of DNS and health.
 */
export const builtInSets = {
  any: ['0.0.0.0/0', '::/0'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
  metadata: [
    // AWS, Google Cloud, Azure, OpenStack, Oracle, DigitalOcean, Linode; GKE's own server; Alibaba; Scaleway
    '169.254.169.254',
    '169.254.169.252',
    '100.100.100.200',
    '169.254.42.42',
    // AWS, Linode, Google Cloud, Oracle, Scaleway
    'fd00:ec2::254',
    'fd00:a9fe:a9fe::1',
    'fd20:ce::254',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
  ],
} as const

/** Built-in sets that only the cluster knows; they change by element, without a rewrite of rules. */
export const clusterSets = ['nodes', 'apiServers', 'podCIDRs'] as const
export type ClusterSet = (typeof clusterSets)[number]

/** The built-in set of the node's own addresses. */
export const selfSet = 'self'

/** Names that no ruleset may give to a set of its own. */
export const reservedSetNames: ReadonlySet<string> = new Set([
  ...Object.keys(builtInSets),
  ...clusterSets,
  selfSet,
])

export function isClusterSet(name: string): name is ClusterSet {
  return clusterSets.some((known) => known === name)
}
