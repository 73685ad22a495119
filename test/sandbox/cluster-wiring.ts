import { families } from '../../agent/ruleset/address.ts'
import { clusterAddress, podNetwork, serviceAddress } from './cluster-addresses.ts'
import type { Host } from './host.ts'
import { addressCommand, cableCommand, ip, prepare, settled } from './wire.ts'

export type ClusterHosts = Readonly<
  Record<
    'router' | 'node' | 'node2' | 'pod' | 'podB' | 'pod2' | 'internet' | 'private' | 'lan' | 'metadata',
    Host
  >
>

export type WiringOptions = {
  readonly pods: 'bridge' | 'routed'
  readonly metadata: 'routed' | 'process' | 'port'
  readonly proxyMode: 'iptables' | 'ipvs'
}

const forwarding = ['ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1']
/** As on a node that kube-proxy looks after: NodePorts answer on 127.0.0.1 too. */
const nodeSettings = [...forwarding, 'ipv4/conf/all/route_localnet=1']

/** Makes the cables, addresses and routes of a cluster. */
export async function wireCluster(hosts: ClusterHosts, options: WiringOptions): Promise<void> {
  const { router, node, node2, pod, podB, pod2, internet, private: privateHost, lan, metadata } = hosts
  const clients = [pod, podB, pod2, internet, privateHost, lan, metadata]
  await Promise.all([
    prepare(router, forwarding),
    prepare(node, nodeSettings),
    prepare(node2, forwarding),
    ...clients.map(async (host) => prepare(host)),
  ])
  const cables: readonly (readonly [Host, string, Host, string])[] = [
    [router, 'node', node, 'eth0'],
    [router, 'node2', node2, 'eth0'],
    [router, 'internet', internet, 'eth0'],
    [router, 'private', privateHost, 'eth0'],
    [router, 'metadata', metadata, 'eth0'],
    [node, 'eth1', lan, 'eth0'],
    [node, 'vethpod', pod, 'eth0'],
    [node, 'vethpodb', podB, 'eth0'],
    [node2, 'vethpod2', pod2, 'eth0'],
  ]
  await ip(
    router,
    cables.map(([one, device, other, otherDevice]) =>
      cableCommand({ host: one, device }, { host: other, device: otherDevice }),
    ),
  )
  await Promise.all([
    ip(router, routerCommands),
    ip(node, [
      ...nodeCommands,
      ...podSide[options.pods].node,
      ...(options.metadata === 'process' ? metadataProxy : []),
      ...(options.proxyMode === 'ipvs' ? ipvs : []),
    ]),
    ip(node2, node2Commands),
    ip(pod, podSide[options.pods].pod('pod')),
    ip(podB, podSide[options.pods].pod('podB')),
    ip(pod2, eth0(['10.244.2.10/24', 'fd00:244:2::10/64'], ['10.244.2.1', 'fd00:244:2::1'])),
    ip(internet, eth0(internetAddresses, ['203.0.113.1', '2001:db8:113::1'])),
    ip(privateHost, eth0(['192.168.200.20/24', 'fd00:200::20/64'], ['192.168.200.1', 'fd00:200::1'])),
    ip(lan, eth0(['10.77.0.9/24', 'fd00:77::9/64'], ['10.77.0.2', 'fd00:77::2'])),
    ip(metadata, eth0(['169.254.169.254/24', 'fd00:ec2::254/64'], ['169.254.169.1', 'fd00:ec2::1'])),
  ])
  await Promise.all(Object.values(hosts).map(settled))
}

/** The kernel sends from the first IPv4 address and from the last IPv6 address, if nothing else decides. */
const internetAddresses = ['203.0.113.10/24', '203.0.113.77/24', '2001:db8:113::77/64', '2001:db8:113::10/64']

const routerCommands = [
  ...bridge('nodes', ['node', 'node2'], ['198.51.100.1/24', '192.168.133.1/24', '2001:db8:1::1/64']),
  ...up('internet', ['203.0.113.1/24', '2001:db8:113::1/64']),
  ...up('private', ['192.168.200.1/24', 'fd00:200::1/64']),
  ...up('metadata', ['169.254.169.1/24', 'fd00:ec2::1/64']),
  ...families.flatMap((family) => [
    `route add ${podNetwork.node[family]} via ${clusterAddress.node[family]}`,
    `route add ${podNetwork.node2[family]} via ${clusterAddress.node2[family]}`,
    `route add ${serviceAddress.loadBalancer[family]} via ${clusterAddress.node[family]}`,
    `route add ${family === 'ipv4' ? '10.77.0.0/24' : 'fd00:77::/64'} via ${clusterAddress.node[family]}`,
  ]),
]

const nodeCommands = [
  ...up('eth1', ['10.77.0.2/24', 'fd00:77::2/64']),
  ...eth0(['198.51.100.2/24', '192.168.133.7/24', '2001:db8:1::2/64'], ['198.51.100.1', '2001:db8:1::1']),
  ...families.flatMap((family) => [
    `route add ${podNetwork.node2[family]} via ${clusterAddress.node2Private[family]}`,
  ]),
]

const node2Commands = [
  ...eth0(['198.51.100.3/24', '192.168.133.8/24', '2001:db8:1::3/64'], ['198.51.100.1', '2001:db8:1::1']),
  ...up('vethpod2', ['10.244.2.1/24', 'fd00:244:2::1/64']),
  ...families.map(
    (family) => `route add ${podNetwork.node[family]} via ${clusterAddress.nodePrivate[family]}`,
  ),
]

/** The node's addresses on its pods' network, and the pods' own, for each kind of network. */
const podSide = {
  bridge: {
    node: [
      ...bridge('cni0', ['vethpod', 'vethpodb'], ['10.244.1.1/24', 'fd00:244:1::1/64']),
      'link set vethpod type bridge_slave hairpin on',
      'link set vethpodb type bridge_slave hairpin on',
    ],
    pod: (name: 'pod' | 'podB') =>
      eth0(
        [`${clusterAddress[name].ipv4}/24`, `${clusterAddress[name].ipv6}/64`],
        [clusterAddress.nodePods.ipv4, clusterAddress.nodePods.ipv6],
      ),
  },
  routed: {
    node: (['pod', 'podB'] as const).flatMap((name) => [
      ...up(`veth${name.toLowerCase()}`, ['10.244.1.1/32', 'fd00:244:1::1/128']),
      ...families.map((family) => `route add ${clusterAddress[name][family]} dev veth${name.toLowerCase()}`),
    ]),
    pod: (name: 'pod' | 'podB') => [
      ...up('eth0', [`${clusterAddress[name].ipv4}/32`, `${clusterAddress[name].ipv6}/128`]),
      ...families.flatMap((family) => [
        `route add ${clusterAddress.nodePods[family]} dev eth0`,
        `route add default via ${clusterAddress.nodePods[family]} dev eth0`,
      ]),
    ],
  },
}

/** Of scope link, else it would be what a node's connection to itself is masqueraded with. */
const metadataProxy = [
  `${addressCommand(`${clusterAddress.metadataProxy.ipv4}/32`, 'lo')} scope link`,
  addressCommand(`${clusterAddress.metadataProxy.ipv6}/128`, 'lo'),
]

/** With a cable to nowhere: not every kernel has the type of interface that IPVS mode really makes, dummy. */
const ipvs = [
  'link add kube-ipvs0 type veth peer name kube-ipvs1',
  'link set kube-ipvs1 up',
  'link set kube-ipvs0 up',
  ...Object.values(serviceAddress).flatMap((address) => [
    addressCommand(`${address.ipv4}/32`, 'kube-ipvs0'),
    addressCommand(`${address.ipv6}/128`, 'kube-ipvs0'),
  ]),
]

function bridge(name: string, ports: readonly string[], addresses: readonly string[]): string[] {
  return [
    `link add ${name} type bridge mcast_snooping 0`,
    ...ports.flatMap((port) => [`link set ${port} master ${name}`, `link set ${port} up`]),
    ...up(name, addresses),
  ]
}

/** The interface that leads out, with the default route of each family. */
function eth0(addresses: readonly string[], gateways: readonly string[]): string[] {
  return [...up('eth0', addresses), ...gateways.map((gateway) => `route add default via ${gateway}`)]
}

function up(device: string, addresses: readonly string[]): string[] {
  return [...addresses.map((address) => addressCommand(address, device)), `link set ${device} up`]
}
