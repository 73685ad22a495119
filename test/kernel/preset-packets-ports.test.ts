import { test } from 'vitest'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { ownPodsOnly } from './preset-cluster.ts'
import { describePresets, enforcePresets, expectRows, onlyIpv4, onlyIpv6 } from './preset-packets.ts'
import type { Lab, Row } from './preset-packets.ts'

/** Every way in from a client, to the port that it dials. */
function waysIn(client: Row[1], expected: Row[5]): readonly Row[] {
  const node = client === 'node2' ? 'nodePrivate' : 'node'
  return [
    [`a process, from ${client}`, client, node, 'tcp', 22, expected],
    [`a process, over UDP, from ${client}`, client, node, 'udp', 4789, expected],
    [`a hostPort, from ${client}`, client, node, 'tcp', 8443, expected],
    [`straight to a pod, from ${client}`, client, 'pod', 'tcp', 8080, expected],
    [`straight to a pod, over UDP, from ${client}`, client, 'podB', 'udp', 5353, expected],
  ]
}

function nodePorts(client: Row[1], expected: Row[5]): readonly Row[] {
  const node = client === 'node2' ? 'nodePrivate' : 'node'
  return [
    [`a NodePort, pod here, from ${client}`, client, node, 'tcp', 30_080, expected],
    [`a NodePort, pod elsewhere, from ${client}`, client, node, 'tcp', 30_081, expected],
    [`a NodePort, process, from ${client}`, client, node, 'tcp', 30_082, expected],
    [`a NodePort, policy Local, from ${client}`, client, node, 'tcp', 30_083, expected],
    [`a NodePort, UDP, from ${client}`, client, node, 'udp', 30_053, expected],
    [`a health check port, from ${client}`, client, node, 'tcp', 32_100, expected],
  ]
}

function loadBalancer(client: Row[1], expected: Row[5]): Row {
  return [`a load balancer's address, from ${client}`, client, 'loadBalancer', 'tcp', 443, expected]
}

/** Lists that one client is on: short enough for a rule each, or so long that they become a kernel set. */
const { ipv4, ipv6 } = clusterAddress.internet2
const documentation = Array.from(
  { length: 20 },
  (_, index) => `192.0.2.${index * 2}\n2001:db8:0:${index}::/64`,
)
const blocked = (file: string, text: string, more: readonly string[] = []) =>
  file === 'blocklist.txt' ? [text, ipv4, ipv6, ...more, ''].join('\n') : text

const ofBlocklist: readonly Row[] = [
  ...waysIn('internet', 'accepted'),
  ...nodePorts('internet', 'accepted'),
  ...waysIn('internet2', 'silence'),
  loadBalancer('internet', 'accepted'),
  loadBalancer('internet2', 'silence'),
  ...nodePorts('internet2', 'silence'),
  ['from the node', 'node', 'internet2', 'tcp', 443, 'refused'],
  ['from a pod', 'pod', 'internet2', 'tcp', 443, 'refused'],
  ['from a pod, over UDP', 'pod', 'internet2', 'udp', 443, 'refused'],
  ['DNS from the node', 'node', 'internet2', 'udp', 53, 'accepted'],
  ['DNS from a pod', 'pod', 'internet2', 'udp', 53, 'accepted'],
]

describePresets(
  'presets for ports and addresses',
  [
    {
      presets: ['nodeports-private'],
      rows: [
        ...nodePorts('internet', 'refused'),
        ...nodePorts('private', 'accepted'),
        ...nodePorts('healthCheck', 'accepted'),
        ...waysIn('internet', 'accepted'),
        loadBalancer('internet', 'accepted'),
        ['a NodePort from another node', 'node2', 'nodePrivate', 'tcp', 30_080, 'accepted'],
        ["a NodePort from another node's pod", 'pod2', 'nodePrivate', 'tcp', 30_080, 'accepted'],
      ],
    },
    {
      presets: ['nodeports-private', 'kubernetes-worker'],
      rows: [
        ...nodePorts('internet', 'refused'),
        ...nodePorts('private', 'accepted'),
        ['ssh', 'internet', 'node', 'tcp', 22, 'refused'],
        ['a hostPort', 'internet', 'node', 'tcp', 8443, 'refused'],
      ],
    },
    {
      presets: ['legacy-ports-closed'],
      rows: [
        ...waysIn('internet', 'accepted'),
        ...nodePorts('internet', 'accepted'),
        ...[4194, 9099, 10_249, 10_255].flatMap((port): Row[] => [
          [`port ${port} from the internet`, 'internet', 'node', 'tcp', port, 'refused'],
          [`port ${port} from the private network`, 'private', 'node', 'tcp', port, 'refused'],
          [`port ${port} from another node`, 'node2', 'nodePrivate', 'tcp', port, 'accepted'],
          [`port ${port} from another node's pod`, 'pod2', 'nodePrivate', 'tcp', port, 'accepted'],
        ]),
        ["kube-proxy's health from the internet", 'internet', 'node', 'tcp', 10_256, 'refused'],
        ["kube-proxy's health from the private network", 'private', 'node', 'tcp', 10_256, 'accepted'],
        ["kube-proxy's health from a load balancer", 'healthCheck', 'node', 'tcp', 10_256, 'accepted'],
        ['another legacy port from a load balancer', 'healthCheck', 'node', 'tcp', 10_255, 'refused'],
      ],
    },
    {
      presets: ['legacy-ports-closed', 'lke-worker'],
      rows: [
        ['the read-only kubelet from the private network', 'private', 'node', 'tcp', 10_255, 'refused'],
        ['the read-only kubelet from another node', 'node2', 'nodePrivate', 'tcp', 10_255, 'accepted'],
        ['a NodePort from the private network', 'private', 'node', 'tcp', 30_080, onlyIpv4],
        ['ssh', 'internet', 'node', 'tcp', 22, 'refused'],
      ],
    },
    {
      name: 'blocklist, with a list that is short',
      presets: ['blocklist'],
      edit: (text, file) => blocked(file, text),
      rows: ofBlocklist,
    },
    {
      name: 'blocklist, with a list that is long',
      presets: ['blocklist'],
      edit: (text, file) => blocked(file, text, documentation),
      rows: ofBlocklist,
    },
    {
      name: 'blocklist stands before what other presets open',
      presets: ['blocklist', 'kubernetes-worker'],
      edit: (text, file) => blocked(file, text),
      rows: [...nodePorts('internet', 'accepted'), ...nodePorts('internet2', 'silence')],
    },
    {
      presets: ['deny-all-but-cluster'],
      rows: [
        ...waysIn('internet', 'refused'),
        ...nodePorts('internet', 'refused'),
        ...waysIn('private', 'refused'),
        loadBalancer('internet', 'refused'),
        loadBalancer('private', 'refused'),
        ...nodePorts('private', 'refused'),
        ...nodePorts('healthCheck', 'refused'),
        ...waysIn('node2', 'accepted'),
        ...nodePorts('node2', 'accepted'),
        ['another node by its public address, in IPv6 its only one', 'node2', 'node', 'tcp', 22, onlyIpv6],
        ["a process, from another node's pod", 'pod2', 'nodePrivate', 'tcp', 9090, 'accepted'],
        ["a NodePort, from another node's pod", 'pod2', 'nodePrivate', 'tcp', 30_080, 'accepted'],
        ['the kubelet from the internet', 'internet', 'node', 'tcp', 10_250, 'refused'],
        ['the node to the world', 'node', 'internet', 'tcp', 22, 'accepted'],
        ['a pod to the world', 'pod', 'internet', 'udp', 443, 'accepted'],
      ],
    },
  ],
  {},
  (lab: () => Lab) => {
    test('deny-all-but-cluster cuts off pods of other nodes whose network nobody told the agent', async () => {
      await enforcePresets(lab(), ['deny-all-but-cluster'], { cluster: ownPodsOnly })
      await expectRows(lab().cluster, [
        ["from another node's pod to a pod", 'pod2', 'pod', 'tcp', 8080, 'refused'],
        ['from another node to a pod', 'node2', 'pod', 'tcp', 8080, 'accepted'],
        ['from a pod to one elsewhere', 'pod', 'pod2', 'tcp', 8080, 'accepted'],
      ])
    })
  },
)
