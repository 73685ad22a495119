import type { Family } from '../../agent/ruleset/address.ts'

type Address = Readonly<Record<Family, string>>

/** Addresses of the hosts of a cluster, by family. */
export const clusterAddress = {
  node: { ipv4: '198.51.100.2', ipv6: '2001:db8:1::2' },
  /** The node on its network with the other nodes; in IPv6 it has one address for all. */
  nodePrivate: { ipv4: '192.168.133.7', ipv6: '2001:db8:1::2' },
  /** The node on its second interface. */
  nodeEth1: { ipv4: '10.77.0.2', ipv6: 'fd00:77::2' },
  /** The node's end of the network of its pods. */
  nodePods: { ipv4: '10.244.1.1', ipv6: 'fd00:244:1::1' },
  node2: { ipv4: '198.51.100.3', ipv6: '2001:db8:1::3' },
  node2Private: { ipv4: '192.168.133.8', ipv6: '2001:db8:1::3' },
  pod: { ipv4: '10.244.1.10', ipv6: 'fd00:244:1::10' },
  podB: { ipv4: '10.244.1.11', ipv6: 'fd00:244:1::11' },
  pod2: { ipv4: '10.244.2.10', ipv6: 'fd00:244:2::10' },
  internet: { ipv4: '203.0.113.10', ipv6: '2001:db8:113::10' },
  internet2: { ipv4: '203.0.113.77', ipv6: '2001:db8:113::77' },
  private: { ipv4: '192.168.200.20', ipv6: 'fd00:200::20' },
  lan: { ipv4: '10.77.0.9', ipv6: 'fd00:77::9' },
  metadata: { ipv4: '169.254.169.254', ipv6: 'fd00:ec2::254' },
  /** Where the process that stands in for the metadata service listens on the node. */
  metadataProxy: { ipv4: '169.254.169.252', ipv6: 'fd00:ec2::252' },
} as const satisfies Record<string, Address>

/** Addresses that no host has, only Services. */
export const serviceAddress = {
  kubernetes: { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' },
  dns: { ipv4: '10.96.0.10', ipv6: 'fd00:96::a' },
  web: { ipv4: '10.96.0.80', ipv6: 'fd00:96::80' },
  /** Routed to the node by the router. */
  loadBalancer: { ipv4: '198.51.100.200', ipv6: '2001:db8:1::200' },
} as const satisfies Record<string, Address>

/** The pods of the whole cluster, and those of the node. */
export const podNetwork = {
  cluster: { ipv4: '10.244.0.0/16', ipv6: 'fd00:244::/32' },
  node: { ipv4: '10.244.1.0/24', ipv6: 'fd00:244:1::/64' },
  node2: { ipv4: '10.244.2.0/24', ipv6: 'fd00:244:2::/64' },
} as const satisfies Record<string, Address>
