import { existsSync } from 'node:fs'
import type { Outcome } from '../sandbox/protocol.ts'
import { describePresets, onlyIpv6 } from './preset-packets.ts'
import type { Case, Row } from './preset-packets.ts'

/** Neither of the presets looks at what comes in. */
const waysIn: readonly Row[] = [
  ['in to a process', 'internet', 'node', 'tcp', 22, 'accepted'],
  ['in to a NodePort, pod here', 'internet', 'node', 'tcp', 30_080, 'accepted'],
  ['in to a NodePort, pod elsewhere', 'internet', 'node', 'tcp', 30_081, 'accepted'],
  ['in to a NodePort, process', 'internet', 'node', 'tcp', 30_082, 'accepted'],
  ['in to a NodePort, policy Local', 'internet', 'node', 'tcp', 30_083, 'accepted'],
  ['in to a NodePort, UDP', 'internet', 'node', 'udp', 30_053, 'accepted'],
  ['in to a hostPort', 'internet', 'node', 'tcp', 8443, 'accepted'],
  ["in to a load balancer's address", 'internet', 'loadBalancer', 'tcp', 443, 'accepted'],
  ['straight in to a pod', 'internet', 'pod', 'tcp', 8080, 'accepted'],
  ['straight in to a pod, UDP', 'internet', 'podB', 'udp', 5353, 'accepted'],
]

function metadata(ofPods: Outcome): readonly Row[] {
  return [
    ['a pod to the metadata service', 'pod', 'metadata', 'tcp', 80, ofPods],
    ['another pod to the metadata service', 'podB', 'metadata', 'tcp', 80, ofPods],
    ['the node to the metadata service', 'node', 'metadata', 'tcp', 80, 'accepted'],
    ['a pod to the resolver at the same address', 'pod', 'metadata', 'udp', 53, 'accepted'],
  ]
}

const routedMetadata: readonly Row[] = [
  ...metadata('refused'),
  ['a pod to another port of the metadata service', 'pod', 'metadata', 'tcp', 8080, 'refused'],
  ['a pod to the metadata service of another cloud', 'pod', 'moreMetadata', 'tcp', 80, 'refused'],
  ['the node to the metadata service of another cloud', 'node', 'moreMetadata', 'tcp', 80, 'accepted'],
]

const minimal: readonly Row[] = [
  ...waysIn,
  ['the node to the web', 'node', 'internet', 'tcp', 80, 'accepted'],
  ['the node to ssh', 'node', 'internet', 'tcp', 22, 'refused'],
  ['the node to time servers', 'node', 'internet', 'udp', 123, 'accepted'],
  ['the node to DNS', 'node', 'internet', 'udp', 53, 'accepted'],
  ['the node to the private network', 'node', 'private', 'tcp', 22, 'accepted'],
  ['the node to another node', 'node', 'node2', 'tcp', 10_250, onlyIpv6],
  ['the node to a pod of another node', 'node', 'pod2', 'tcp', 8080, 'accepted'],
  ['the node to a NodePort of its own, pod elsewhere', 'node', 'node', 'tcp', 30_081, 'accepted'],
  ['the node through another interface', 'node', 'lan', 'tcp', 443, 'accepted'],
  ['a pod to HTTP', 'pod', 'internet', 'tcp', 80, 'refused'],
  ['a pod to ssh', 'pod', 'internet', 'tcp', 22, 'refused'],
  ['a pod to QUIC', 'pod', 'internet', 'udp', 443, 'refused'],
  ['a pod to time servers', 'pod', 'internet', 'udp', 123, 'refused'],
  ['a pod to the private network', 'pod', 'private', 'tcp', 22, 'accepted'],
  ['a pod to the private network, UDP', 'pod', 'private', 'udp', 443, 'accepted'],
  ['a pod to another node', 'pod', 'node2Private', 'tcp', 10_250, 'accepted'],
  ['a pod through another interface', 'pod', 'lan', 'tcp', 443, 'accepted'],
  ["a pod to a load balancer's address", 'podB', 'loadBalancer', 'tcp', 443, 'accepted'],
  ['through the node, which counts as a pod', 'lan', 'internet', 'tcp', 22, 'refused'],
  ['through the node, to the web', 'lan', 'internet', 'tcp', 443, 'accepted'],
]

const elsewhere: readonly Row[] = [
  ['a pod to ssh', 'pod', 'internet', 'tcp', 22, 'accepted'],
  ['a pod to QUIC', 'pod', 'internet', 'udp', 443, 'accepted'],
  ['a pod through another interface', 'pod', 'lan', 'tcp', 443, 'accepted'],
  ['the node to ssh', 'node', 'internet', 'tcp', 22, 'accepted'],
]

const routed: readonly Case[] = [
  { presets: ['metadata-lockdown'], rows: [...waysIn, ...elsewhere, ...routedMetadata] },
  { presets: ['egress-minimal'], rows: [...minimal, ...routedMetadata] },
  { presets: ['egress-minimal', 'metadata-lockdown'], rows: [...minimal, ...routedMetadata] },
]

function translated(ofPods: Outcome): readonly Case[] {
  return [
    { presets: ['metadata-lockdown'], rows: [...waysIn, ...elsewhere, ...metadata(ofPods)] },
    { presets: ['egress-minimal'], rows: [...minimal, ...metadata(ofPods)] },
  ]
}

const [process, port] = [{ metadata: 'process' } as const, { metadata: 'port' } as const]
const routes = { pods: 'routed' } as const

describePresets('presets for what goes out', routed)
describePresets('the same, metadata from a process', translated('refused'), { ...process, ...routes })
describePresets('the same, metadata from another port', translated('refused'), { ...port, ...routes })
// br_netfilter sends the reset on the bridge, past conntrack, which would have given it the address that the pod knows.
const onBridge = existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables') ? 'silence' : 'refused'
describePresets('the same, metadata from a process, pods on a bridge', translated(onBridge), process)
