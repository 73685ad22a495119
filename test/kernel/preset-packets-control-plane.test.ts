import { describePresets, onlyIpv4 } from './preset-packets.ts'
import type { Row } from './preset-packets.ts'

const controlPlane = { 'node-role.kubernetes.io/control-plane': '' }
const bastion = { 'node-firewall.io/role': 'bastion' }

const closedOnControlPlanes: readonly Row[] = [
  ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'refused'],
  ['ssh from the private network', 'private', 'node', 'tcp', 22, 'refused'],
  ['etcd from the internet', 'internet', 'node', 'tcp', 2379, 'refused'],
  ['the kubelet from the internet', 'internet', 'node', 'tcp', 10_250, 'refused'],
  ['the controller manager from the internet', 'internet', 'node', 'tcp', 10_257, 'refused'],
  ['VXLAN from the internet', 'internet', 'node', 'udp', 4789, 'refused'],
  ['a NodePort from the internet', 'internet', 'node', 'tcp', 30_080, 'refused'],
  ['a NodePort from the private network, pod elsewhere', 'private', 'node', 'tcp', 30_081, 'refused'],
  ['a NodePort from the private network, process', 'private', 'node', 'tcp', 30_082, 'refused'],
  ['a NodePort from the private network, UDP', 'private', 'node', 'udp', 30_053, 'refused'],
  ['a hostPort from the private network', 'private', 'node', 'tcp', 8443, 'refused'],
  ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'refused'],
]

const openOnControlPlanes: readonly Row[] = [
  ['the API server from the internet', 'internet', 'node', 'tcp', 6443, 'accepted'],
  ['the API server from a pod of the node', 'pod', 'node', 'tcp', 6443, 'accepted'],
  ['the API server from another node', 'node2', 'nodePrivate', 'tcp', 6443, 'accepted'],
  ["the API server from another node's pod", 'pod2', 'nodePrivate', 'tcp', 6443, 'accepted'],
  ['the API server to a webhook in a pod elsewhere', 'node', 'pod2', 'tcp', 8080, 'accepted'],
  ['straight to a pod', 'internet', 'pod', 'tcp', 8080, 'accepted'],
  ['the controller manager from the private network', 'private', 'node', 'tcp', 10_257, 'accepted'],
  ['VXLAN from the private network', 'private', 'node', 'udp', 4789, 'accepted'],
  ['Hubble from the private network', 'private', 'node', 'tcp', 4244, 'accepted'],
]

/** What each of the presets without a default leaves alone. */
const untouched: readonly Row[] = [
  ['another port from the internet', 'internet', 'node', 'tcp', 9090, 'accepted'],
  ['UDP from the internet', 'internet', 'node', 'udp', 4789, 'accepted'],
  ['a NodePort from the internet', 'internet', 'node', 'tcp', 30_080, 'accepted'],
  ['a hostPort from the internet', 'internet', 'node', 'tcp', 8443, 'accepted'],
  ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'accepted'],
  ['straight to a pod', 'internet', 'pod', 'tcp', 8080, 'accepted'],
  ['the node to ssh elsewhere', 'node', 'internet', 'tcp', 22, 'accepted'],
  ['a pod to ssh elsewhere', 'pod', 'internet', 'tcp', 22, 'accepted'],
]

describePresets('presets for control planes and bastions', [
  {
    presets: ['kubernetes-control-plane'],
    labels: controlPlane,
    rows: [
      ...closedOnControlPlanes,
      ...openOnControlPlanes,
      ['etcd from the private network', 'private', 'node', 'tcp', 2379, 'accepted'],
      ["etcd's peers from the private network", 'private', 'nodePrivate', 'tcp', 2380, 'accepted'],
      // In IPv6 a node of the sandbox has no private address.
      ['etcd from another node', 'node2', 'nodePrivate', 'tcp', 2379, onlyIpv4],
    ],
  },
  {
    presets: ['etcd-lockdown'],
    labels: controlPlane,
    rows: [
      ...untouched,
      ['etcd from the internet', 'internet', 'node', 'tcp', 2379, 'refused'],
      ['etcd from the private network', 'private', 'nodePrivate', 'tcp', 2379, 'refused'],
      ["etcd's peers from the private network", 'private', 'nodePrivate', 'tcp', 2380, 'refused'],
      ["etcd from another node's pod", 'pod2', 'nodePrivate', 'tcp', 2379, 'refused'],
      ['etcd from the API server of another node', 'node2', 'nodePrivate', 'tcp', 2379, 'accepted'],
      ["etcd's peers from another API server", 'node2', 'nodePrivate', 'tcp', 2380, 'accepted'],
      ['etcd from the API server of the node', 'node', 'nodePrivate', 'tcp', 2379, 'accepted'],
      ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'accepted'],
    ],
  },
  {
    presets: ['kubernetes-control-plane', 'etcd-lockdown'],
    labels: controlPlane,
    rows: [
      ...closedOnControlPlanes,
      ...openOnControlPlanes,
      ['etcd from the private network', 'private', 'nodePrivate', 'tcp', 2379, 'refused'],
      ['etcd from another API server', 'node2', 'nodePrivate', 'tcp', 2379, 'accepted'],
    ],
  },
  {
    presets: ['ssh-bastion'],
    rows: [
      ...untouched,
      // The set's IPv6 network is not the one that this client is in.
      ['ssh from the bastion', 'internet', 'node', 'tcp', 22, onlyIpv4],
      ['ssh from a neighbour of the bastion', 'internet2', 'node', 'tcp', 22, 'refused'],
      ['ssh from the private network', 'private', 'nodePrivate', 'tcp', 22, 'refused'],
      ['ssh from another node', 'node2', 'nodePrivate', 'tcp', 22, 'refused'],
      ["ssh from another node's pod", 'pod2', 'nodePrivate', 'tcp', 22, 'refused'],
    ],
  },
  {
    name: 'ssh-bastion, with IPv6 addresses of the bastion',
    presets: ['ssh-bastion'],
    edit: (text) => text.replace('2001:db8::/64', '2001:db8:113::10'),
    rows: [
      ['ssh from the bastion', 'internet', 'node', 'tcp', 22, 'accepted'],
      ['ssh from a neighbour of the bastion', 'internet2', 'node', 'tcp', 22, 'refused'],
    ],
  },
  {
    presets: ['bastion'],
    labels: bastion,
    rows: [
      ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'accepted'],
      ['ssh from another client', 'private', 'node', 'tcp', 22, 'accepted'],
      ['another port from the internet', 'internet', 'node', 'tcp', 9090, 'refused'],
      ['another port from the private network', 'private', 'nodePrivate', 'tcp', 9090, 'refused'],
      ['UDP from the private network', 'private', 'node', 'udp', 4789, 'refused'],
      ['a NodePort from the private network', 'private', 'node', 'tcp', 30_080, 'refused'],
      ['a hostPort from the internet', 'internet', 'node', 'tcp', 8443, 'refused'],
      ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'refused'],
      ['straight to a pod, which is not touched', 'internet', 'pod', 'tcp', 8080, 'accepted'],
      ['on to the machines behind it', 'node', 'internet', 'tcp', 22, 'accepted'],
    ],
  },
  {
    presets: ['ssh-bastion', 'bastion'],
    labels: bastion,
    rows: [
      ['ssh from a stranger', 'internet2', 'node', 'tcp', 22, 'accepted'],
      ['ssh from another stranger', 'private', 'node', 'tcp', 22, 'accepted'],
      ['another port from the internet', 'internet', 'node', 'tcp', 9090, 'refused'],
    ],
  },
])
