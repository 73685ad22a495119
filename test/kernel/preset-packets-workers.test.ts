import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { icmp } from '../sandbox/packet.ts'
import type { Transport } from '../sandbox/packet.ts'
import { countPackets } from './preset-cluster.ts'
import { describePresets, enforcePresets, onlyIpv4 } from './preset-packets.ts'
import type { Lab, Row } from './preset-packets.ts'

const readme = await readFile(join(import.meta.dirname, '..', '..', 'rulesets', 'README.md'), 'utf8')
const examples = [...readme.matchAll(/```yaml\n(apiVersion: node-firewall\.io[\s\S]*?)```/g)]
const betweenNodes = examples.map(([, text = '']) => text).find((text) => text.includes('[nodes]')) ?? ''

/** Closed by every preset for nodes, to everybody who comes in from outside. */
const closed: readonly Row[] = [
  ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'refused'],
  ['ssh from the private network', 'private', 'node', 'tcp', 22, 'refused'],
  ['ssh at the private address', 'private', 'nodePrivate', 'tcp', 22, 'refused'],
  ['ssh at the address of another interface', 'internet', 'nodeEth1', 'tcp', 22, 'refused'],
  ['the kubelet from the internet', 'internet', 'node', 'tcp', 10_250, 'refused'],
  ["kube-proxy's health from the internet", 'internet', 'node', 'tcp', 10_256, 'refused'],
  ['a host-network pod from the internet', 'internet', 'node', 'tcp', 9090, 'refused'],
  ['a host-network pod from the private network', 'private', 'node', 'tcp', 9090, 'refused'],
  ['the read-only kubelet from the private network', 'private', 'node', 'tcp', 10_255, 'refused'],
  ['WireGuard from the internet', 'internet', 'node', 'udp', 51_820, 'refused'],
  ['BGP from the internet', 'internet', 'node', 'tcp', 179, 'refused'],
  ['DNS of a process from the internet', 'internet', 'node', 'udp', 53, 'refused'],
  ['a hostPort from the internet', 'internet', 'node', 'tcp', 8443, 'refused'],
  ['a hostPort from the private network', 'private', 'nodePrivate', 'tcp', 8443, 'refused'],
  ["a load balancer's address from the internet", 'internet', 'loadBalancer', 'tcp', 443, 'refused'],
  ["a load balancer's address from the private network", 'private', 'loadBalancer', 'tcp', 443, 'refused'],
  ['straight to a pod, which is not touched', 'internet', 'pod', 'tcp', 8080, 'accepted'],
]

describePresets(
  'presets for workers',
  [
    {
      presets: ['lke-worker'],
      rows: [
        ...closed,
        ['a NodePort from the internet, pod here', 'internet', 'node', 'tcp', 30_080, 'refused'],
        ['a NodePort from the internet, pod elsewhere', 'internet', 'node', 'tcp', 30_081, 'refused'],
        ['a NodePort from the internet, process', 'internet', 'node', 'tcp', 30_082, 'refused'],
        ['a NodePort from the internet, policy Local', 'internet', 'node', 'tcp', 30_083, 'refused'],
        ['a NodePort from the internet, UDP', 'internet', 'node', 'udp', 30_053, 'refused'],
        ['a health check port from the internet', 'internet', 'node', 'tcp', 32_100, 'refused'],
        ['a NodePort of Google Cloud', 'healthCheck', 'node', 'tcp', 30_080, 'refused'],
        ['a NodePort from the private network, pod here', 'private', 'node', 'tcp', 30_080, onlyIpv4],
        ['a NodePort at the private address', 'private', 'nodePrivate', 'tcp', 30_080, onlyIpv4],
        ['a NodePort from the private network, pod elsewhere', 'private', 'node', 'tcp', 30_081, onlyIpv4],
        ['a NodePort from the private network, process', 'private', 'node', 'tcp', 30_082, onlyIpv4],
        ['a NodePort from the private network, policy Local', 'private', 'node', 'tcp', 30_083, onlyIpv4],
        ['a NodePort from the private network, UDP', 'private', 'nodePrivate', 'udp', 30_053, onlyIpv4],
        ['a NodePort from another node', 'node2', 'nodePrivate', 'tcp', 30_080, onlyIpv4],
        ['a health check port from the private network', 'private', 'node', 'tcp', 32_100, onlyIpv4],
        ["kube-proxy's health from the private network", 'private', 'node', 'tcp', 10_256, onlyIpv4],
        ['WireGuard from the private network', 'private', 'node', 'udp', 51_820, onlyIpv4],
        ['BGP from the private network', 'private', 'node', 'tcp', 179, onlyIpv4],
        ['Typha from the private network', 'private', 'node', 'tcp', 5473, onlyIpv4],
        ['DNS from the private network', 'private', 'node', 'udp', 53, onlyIpv4],
        ['DNS from the private network, TCP', 'private', 'node', 'tcp', 53, onlyIpv4],
        ['the kubelet from the private network', 'private', 'node', 'tcp', 10_250, onlyIpv4],
        ["the kubelet from another node's pod", 'pod2', 'nodePrivate', 'tcp', 10_250, 'accepted'],
      ],
    },
    {
      presets: ['kubernetes-worker'],
      rows: [...closed, ...openOnWorkers(onlyIpv4)],
    },
    {
      name: 'kubernetes-worker + the ruleset of the README for nodes with public addresses',
      presets: ['kubernetes-worker'],
      own: [betweenNodes],
      rows: [
        ...closed,
        ...openOnWorkers('accepted'),
        ['ssh from another node, which may all', 'node2', 'nodePrivate', 'tcp', 22, 'accepted'],
      ],
    },
  ],
  {},
  otherProtocols,
)

function openOnWorkers(betweenNodesOutcome: Row[5]): readonly Row[] {
  return [
    ['a NodePort from the internet, pod here', 'internet', 'node', 'tcp', 30_080, 'accepted'],
    ['a NodePort from the internet, pod elsewhere', 'internet', 'node', 'tcp', 30_081, 'accepted'],
    ['a NodePort from the internet, process', 'internet', 'node', 'tcp', 30_082, 'accepted'],
    ['a NodePort from the internet, policy Local', 'internet', 'node', 'tcp', 30_083, 'accepted'],
    ['a NodePort from the internet, UDP', 'internet', 'node', 'udp', 30_053, 'accepted'],
    ['a health check port from the internet', 'internet', 'node', 'tcp', 32_100, 'accepted'],
    ["kube-proxy's health from the private network", 'private', 'node', 'tcp', 10_256, 'accepted'],
    ["kube-proxy's health from a load balancer", 'healthCheck', 'node', 'tcp', 10_256, 'accepted'],
    ['another port from a load balancer', 'healthCheck', 'node', 'tcp', 10_255, 'refused'],
    ['VXLAN from the private network', 'private', 'node', 'udp', 4789, 'accepted'],
    ['VXLAN from the internet', 'internet', 'node', 'udp', 4789, 'refused'],
    ['WireGuard from the private network', 'private', 'node', 'udp', 51_820, 'accepted'],
    ['BGP from the private network', 'private', 'node', 'tcp', 179, 'accepted'],
    ['Hubble from the private network', 'private', 'node', 'tcp', 4244, 'accepted'],
    ['Typha from the private network', 'private', 'node', 'tcp', 5473, 'accepted'],
    ['etcd from the private network', 'private', 'node', 'tcp', 2379, 'refused'],
    ['the kubelet from the private network', 'private', 'node', 'tcp', 10_250, 'accepted'],
    ['VXLAN from another node', 'node2', 'nodePrivate', 'udp', 4789, betweenNodesOutcome],
  ]
}

function otherProtocols(lab: () => Lab): void {
  test.each([
    ['lke-worker', 'IP in IP', 'private', protocolOnly(4), 1],
    ['lke-worker', 'IP in IP', 'internet', protocolOnly(4), 0],
    ['kubernetes-worker', 'IP in IP', 'private', protocolOnly(4), 1],
    ['kubernetes-worker', 'IP in IP', 'internet', protocolOnly(4), 0],
    ['kubernetes-worker', 'IPsec', 'private', protocolOnly(50), 1],
    ['kubernetes-worker', 'IPsec', 'internet', protocolOnly(50), 0],
    ['kubernetes-worker', 'an SCTP NodePort', 'internet', { ...protocolOnly(132), bytes: sctp(30_080) }, 1],
    ['kubernetes-worker', 'another SCTP port', 'internet', { ...protocolOnly(132), bytes: sctp(29_999) }, 0],
    ['lke-worker', 'a ping', 'internet', icmp('ipv4', 8, 0, [0, 7, 0, 1]), 1],
    ['lke-worker', 'a question for the time', 'internet', icmp('ipv4', 13, 0, [0, 7, 0, 1]), 0],
    ['lke-worker', 'a redirect', 'internet', icmp('ipv4', 5, 0, [203, 0, 113, 66]), 0],
    ['deny-all-but-cluster', 'a ping', 'internet', icmp('ipv4', 8, 0, [0, 8, 0, 1]), 1],
  ] as const)('%s, %s from %s', async (preset, _, from, transport, passed) => {
    await enforcePresets(lab(), [preset])
    const path = { source: clusterAddress[from].ipv4, destination: clusterAddress.node.ipv4 }
    const packets = await countPackets(lab().cluster, from, { ...path, transport })
    expect(packets).toEqual({ arrived: 1, passed })
  })

  test.each(['lke-worker', 'kubernetes-worker', 'deny-all-but-cluster'])(
    '%s answers pings',
    async (preset) => {
      await enforcePresets(lab(), [preset])
      for (const family of families) {
        const address = clusterAddress.node[family]
        const { stdout } = await lab().cluster.internet.exec('ping', ['-q', '-c', '1', '-W', '10', address])
        expect(stdout).toContain('1 received')
      }
    },
  )
}

function protocolOnly(protocol: number): Transport {
  return { protocol, bytes: Buffer.alloc(40), checksumAt: 10 }
}

/** The ports of an SCTP packet, and an INIT chunk that says nothing. */
function sctp(port: number): Buffer {
  const bytes = Buffer.alloc(40)
  bytes.writeUInt16BE(40_000, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set([1, 0, 0, 20], 12)
  return bytes
}
