import { clusterAddress, serviceAddress } from '../cluster-addresses.ts'
import type { Service } from '../kube-services.ts'

/** Addresses of the hosts of a control plane and its node, by family. */
export const controlPlaneAddress = {
  node: clusterAddress.node,
  /** The node's InternalIP. */
  nodePrivate: clusterAddress.nodePrivate,
  /** Where the API server listens, as the EndpointSlice of default/kubernetes tells it. */
  endpoint: { ipv4: '192.168.200.2', ipv6: 'fd00:200::2' },
  /** Its load balancer, which no object of the cluster tells of. */
  balancer: { ipv4: '192.0.2.6', ipv6: '2001:db8:c::6' },
  /** ClusterIP of the Service default/kubernetes. */
  service: serviceAddress.kubernetes,
  /** A pod of the cluster's DNS, on another node. */
  dnsPod: clusterAddress.pod2,
  /** ClusterIP of the Service kube-system/kube-dns. */
  dns: serviceAddress.dns,
  stranger: clusterAddress.internet,
} as const

/** Name of the Node, and the agent's pod on it. */
export const nodeName = 'test-node'
export const agentPod = { namespace: 'node-firewall', name: 'node-firewall-x2x4z' } as const

export const apiServerPort = 6443
export const kubeletPort = 10_250

const { service, endpoint, dns, dnsPod } = controlPlaneAddress
const toDns = { clusterIp: { address: dns, port: 53 }, endpoint: { address: dnsPod, port: 53 } }

/** What kube-proxy leads somewhere on the node. */
export const controlPlaneServices: readonly Service[] = [
  {
    name: 'default/kubernetes:https',
    protocol: 'tcp',
    clusterIp: { address: service, port: 443 },
    endpoint: { address: endpoint, port: apiServerPort },
  },
  { name: 'kube-system/kube-dns:dns', protocol: 'udp', ...toDns },
  { name: 'kube-system/kube-dns:dns-tcp', protocol: 'tcp', ...toDns },
]
