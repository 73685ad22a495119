import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { tcp } from '../sandbox/packet.ts'
import type { Transport } from '../sandbox/packet.ts'
import { countPackets, knownOfCluster } from './preset-cluster.ts'
import { describePresets, enforcePresets } from './preset-packets.ts'
import type { Lab, Row } from './preset-packets.ts'

const overlays = join(import.meta.dirname, '..', '..', 'manifests', 'overlays')
const bareMetal = await readFile(join(overlays, 'bare-metal', 'bare-metal.yaml'), 'utf8')

/** A Node of EKS names no network of pods, and nobody tells the agent. */
const eks = { ...knownOfCluster, podCIDRs: [] }

/** Closed by each overlay, to everybody who comes in from outside. */
const closed: readonly Row[] = [
  ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'refused'],
  ['the kubelet from the internet', 'internet', 'node', 'tcp', 10_250, 'refused'],
  ["kube-proxy's health from the internet", 'internet', 'node', 'tcp', 10_256, 'refused'],
  ['the read-only kubelet from the private network', 'private', 'nodePrivate', 'tcp', 10_255, 'refused'],
  ['a host-network pod from the private network', 'private', 'nodePrivate', 'tcp', 9090, 'refused'],
  ['VXLAN from the internet', 'internet', 'node', 'udp', 4789, 'refused'],
  ['a NodePort from the internet, pod here', 'internet', 'node', 'tcp', 30_080, 'refused'],
  ['a NodePort from the internet, pod elsewhere', 'internet', 'node', 'tcp', 30_081, 'refused'],
  ['a NodePort from the internet, process', 'internet', 'node', 'tcp', 30_082, 'refused'],
  ['a NodePort from the internet, UDP', 'internet', 'node', 'udp', 30_053, 'refused'],
  ['a hostPort from the internet', 'internet', 'node', 'tcp', 8443, 'refused'],
  ['straight to a pod, which is not touched', 'internet', 'pod', 'tcp', 8080, 'accepted'],
]

const openToVpc: readonly Row[] = [
  ['the kubelet from the VPC', 'private', 'nodePrivate', 'tcp', 10_250, 'accepted'],
  ["the kubelet from another node's pod", 'pod2', 'nodePrivate', 'tcp', 10_250, 'accepted'],
  ["kube-proxy's health from the VPC", 'private', 'node', 'tcp', 10_256, 'accepted'],
  ['a NodePort from the VPC, pod here', 'private', 'nodePrivate', 'tcp', 30_080, 'accepted'],
  ['a NodePort from the VPC, pod elsewhere', 'private', 'nodePrivate', 'tcp', 30_081, 'accepted'],
  ['a NodePort from the VPC, process', 'private', 'nodePrivate', 'tcp', 30_082, 'accepted'],
  ['a NodePort from the VPC, policy Local', 'private', 'nodePrivate', 'tcp', 30_083, 'accepted'],
  ['a NodePort from the VPC, UDP', 'private', 'nodePrivate', 'udp', 30_053, 'accepted'],
  ['a health check port from the VPC', 'private', 'node', 'tcp', 32_100, 'accepted'],
]

/** What needs no opening where pods have addresses of the VPC, and where there are no load balancers on the nodes. */
const closedInClouds: readonly Row[] = [
  ...closed,
  ['ssh from the VPC', 'private', 'nodePrivate', 'tcp', 22, 'refused'],
  ['VXLAN from the VPC', 'private', 'nodePrivate', 'udp', 4789, 'refused'],
  ['BGP from the VPC', 'private', 'nodePrivate', 'tcp', 179, 'refused'],
  ['a hostPort from the VPC', 'private', 'nodePrivate', 'tcp', 8443, 'refused'],
  ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'refused'],
]

const bareMetalRows: readonly Row[] = [
  ...closed,
  ['web from the internet', 'internet', 'node', 'tcp', 80, 'accepted'],
  ['web over QUIC from the internet', 'internet', 'node', 'udp', 443, 'accepted'],
  ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'accepted'],
  ['ssh from the private network', 'private', 'nodePrivate', 'tcp', 22, 'accepted'],
  ['MetalLB from the private network', 'private', 'nodePrivate', 'tcp', 7946, 'accepted'],
  ['MetalLB from another node, UDP', 'node2', 'nodePrivate', 'udp', 7946, 'accepted'],
  ['MetalLB from the internet', 'internet', 'node', 'tcp', 7946, 'refused'],
  ['MetalLB from the internet, UDP', 'internet', 'node', 'udp', 7946, 'refused'],
  [
    'BGP from another node, which has no private IPv6 address',
    'node2',
    'nodePrivate',
    'tcp',
    179,
    'accepted',
  ],
  ['BGP from the internet', 'internet', 'node', 'tcp', 179, 'refused'],
  ['BFD from the private network', 'private', 'nodePrivate', 'udp', 3784, 'accepted'],
  ['BFD from the internet', 'internet', 'node', 'udp', 3784, 'refused'],
  ['Hubble from another node', 'node2', 'nodePrivate', 'tcp', 4244, 'accepted'],
  ['VXLAN from the private network', 'private', 'nodePrivate', 'udp', 4789, 'accepted'],
  ['a NodePort from the private network, pod here', 'private', 'nodePrivate', 'tcp', 30_080, 'accepted'],
  ['a NodePort from another node', 'node2', 'nodePrivate', 'tcp', 30_080, 'accepted'],
]

describePresets(
  'presets and rulesets of the overlays',
  [
    {
      presets: ['eks-worker'],
      cluster: eks,
      rows: [
        ...closedInClouds,
        ...openToVpc,
        ['a NodePort from health checks of another cloud', 'healthCheck', 'node', 'tcp', 30_080, 'refused'],
      ],
    },
    {
      presets: ['gke-worker'],
      rows: [
        ...closedInClouds,
        ...openToVpc,
        ["kube-proxy's health from a load balancer", 'healthCheck', 'node', 'tcp', 10_256, 'accepted'],
        ['a NodePort from a load balancer', 'healthCheck', 'node', 'tcp', 30_080, 'accepted'],
        ['a health check port from a load balancer', 'healthCheck', 'node', 'tcp', 32_100, 'accepted'],
        ['the kubelet from a load balancer', 'healthCheck', 'node', 'tcp', 10_250, 'refused'],
        ['another port from a load balancer', 'healthCheck', 'node', 'tcp', 10_255, 'refused'],
      ],
    },
    {
      name: 'bare-metal, a worker',
      presets: ['kubernetes-worker', 'nodeports-private'],
      own: [bareMetal],
      rows: [
        ...bareMetalRows,
        ['the API server, where there is none to be', 'private', 'nodePrivate', 'tcp', 6443, 'refused'],
      ],
    },
    {
      name: 'bare-metal, a control plane',
      presets: ['kubernetes-control-plane', 'nodeports-private'],
      labels: { 'node-role.kubernetes.io/control-plane': '' },
      own: [bareMetal],
      rows: [
        ...bareMetalRows.filter(([, , , , port]) => port !== 10_256),
        ['the API server from the internet', 'internet', 'node', 'tcp', 6443, 'accepted'],
        ['etcd from the internet', 'internet', 'node', 'tcp', 2379, 'refused'],
        ['etcd from the private network', 'private', 'nodePrivate', 'tcp', 2379, 'accepted'],
      ],
    },
  ],
  {},
  otherPackets,
)

function otherPackets(lab: () => Lab): void {
  const kubelet = tcp(40_000, 10_250, ['SYN'])
  test.each([
    ['eks-worker', { '100.64.3.4': 1, '198.19.3.4': 1, '198.18.3.4': 0 }],
    ['gke-worker', { '100.64.3.4': 1, '198.19.3.4': 0 }],
    ['kubernetes-worker', { '100.64.3.4': 0 }],
  ])('%s, the kubelet from pods with addresses that are not RFC 1918’s', async (preset, passes) => {
    await enforcePresets(lab(), [preset], { cluster: eks })
    for (const [source, passed] of Object.entries(passes)) {
      expect({ source, ...(await count(lab(), source, kubelet)) }).toEqual({ source, arrived: 1, passed })
    }
  })

  test.each([
    ['private', clusterAddress.private.ipv4, 1],
    ['internet', clusterAddress.internet.ipv4, 0],
  ] as const)('bare-metal, VRRP from %s', async (from, source, passed) => {
    await enforcePresets(lab(), ['kubernetes-worker'], { own: [bareMetal] })
    const vrrp = { protocol: 112, bytes: Buffer.alloc(40), checksumAt: 6 }
    expect(await count(lab(), source, vrrp, from)).toEqual({ arrived: 1, passed })
  })
}

async function count(
  { cluster }: Lab,
  source: string,
  transport: Transport,
  from: 'internet' | 'private' = 'private',
) {
  const path = { source, destination: clusterAddress.node.ipv4 }
  return countPackets(cluster, from, { ...path, transport })
}
