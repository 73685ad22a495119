import type { Family } from '../../agent/ruleset/address.ts'
import { clusterAddress, serviceAddress } from './cluster-addresses.ts'
import type { Protocol } from './protocol.ts'

type Address = Readonly<Record<Family, string>>

/** A port of a Service, with its one endpoint. */
export type Service = {
  readonly name: string
  readonly protocol: Protocol
  readonly clusterIp?: { readonly address: Address; readonly port: number }
  /** Address of the load balancer, at the port of the ClusterIP. */
  readonly external?: Address
  readonly nodePort?: number
  /** externalTrafficPolicy: Local keeps the address of the client and has a port for health checks. */
  readonly local?: { readonly healthCheckNodePort: number }
  /** Without one, kube-proxy rejects. */
  readonly endpoint?: { readonly address: Address; readonly port: number }
}

const { pod, podB, pod2, nodePrivate } = clusterAddress
const { kubernetes, dns, web, loadBalancer } = serviceAddress

/** What the cluster offers, in every way that a client can come in. */
export const services: readonly Service[] = [
  {
    name: 'default/kubernetes:https',
    protocol: 'tcp',
    clusterIp: { address: kubernetes, port: 443 },
    endpoint: { address: nodePrivate, port: 6443 },
  },
  {
    name: 'kube-system/kube-dns:dns',
    protocol: 'udp',
    clusterIp: { address: dns, port: 53 },
    endpoint: { address: podB, port: 5353 },
  },
  {
    name: 'kube-system/kube-dns:dns-tcp',
    protocol: 'tcp',
    clusterIp: { address: dns, port: 53 },
    endpoint: { address: podB, port: 5353 },
  },
  {
    name: 'default/web:https',
    protocol: 'tcp',
    clusterIp: { address: web, port: 443 },
    external: loadBalancer,
    nodePort: 30_080,
    endpoint: { address: pod, port: 8080 },
  },
  {
    name: 'default/elsewhere',
    protocol: 'tcp',
    nodePort: 30_081,
    endpoint: { address: pod2, port: 8080 },
  },
  {
    name: 'default/host-network',
    protocol: 'tcp',
    nodePort: 30_082,
    endpoint: { address: nodePrivate, port: 9090 },
  },
  {
    name: 'default/web-local',
    protocol: 'tcp',
    nodePort: 30_083,
    local: { healthCheckNodePort: 32_100 },
    endpoint: { address: pod, port: 8080 },
  },
  {
    name: 'default/web:dns',
    protocol: 'udp',
    nodePort: 30_053,
    endpoint: { address: pod, port: 5353 },
  },
  { name: 'default/nobody', protocol: 'tcp', nodePort: 30_099 },
]

/** A port of the node that the CNI's portmap plugin leads to a pod. */
export const hostPort = { protocol: 'tcp', port: 8443, endpoint: { address: pod, port: 8443 } } as const
