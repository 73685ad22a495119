import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { describePresets, enforcePresets, onlyIpv4 } from './preset-packets.ts'
import type { Lab, Row } from './preset-packets.ts'
import { countPackets } from './preset-cluster.ts'

const readme = await readFile(join(import.meta.dirname, '..', '..', 'rulesets', 'README.md'), 'utf8')
const examples = [...readme.matchAll(/```yaml\n(apiVersion: node-firewall\.io[\s\S]*?)```/g)]
const betweenNodes = examples.map(([, text = '']) => text).find((text) => text.includes('[nodes]')) ?? ''

const onlyPublicIpv6 = { ipv4: 'accepted', ipv6: 'refused' } as const

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
        ['the kubelet from another node', 'node2', 'nodePrivate', 'tcp', 10_250, onlyPublicIpv6],
        ["the kubelet from another node's pod", 'pod2', 'nodePrivate', 'tcp', 10_250, 'accepted'],
      ],
    },
    {
      presets: ['kubernetes-worker'],
      rows: [...closed, ...openOnWorkers(onlyPublicIpv6)],
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
    ['the kubelet from another node', 'node2', 'nodePrivate', 'tcp', 10_250, betweenNodesOutcome],
    ['VXLAN from another node', 'node2', 'nodePrivate', 'udp', 4789, betweenNodesOutcome],
  ]
}

function otherProtocols(lab: () => Lab): void {
  test.each(['lke-worker', 'kubernetes-worker', 'deny-all-but-cluster'])(
    '%s answers pings, up to ten a second',
    async (preset) => {
      await enforcePresets(lab(), [preset])
      for (const family of families) {
        const address = clusterAddress.node[family]
        const ping = async (...more: readonly string[]) =>
          lab().cluster.internet.exec('ping', ['-q', ...more, address])
        const { stdout } = await ping('-c', '200', '-i', '0.001', '-W', '1')
        const answered = Number(/(\d+) received/.exec(stdout)?.[1])
        expect(answered, family).toBeGreaterThanOrEqual(20)
        expect(answered, family).toBeLessThan(200)
      }
    },
  )

  test.each([
    ['lke-worker', 'ipip', 4],
    ['kubernetes-worker', 'ipip', 4],
    ['kubernetes-worker', 'esp', 50],
  ] as const)('%s lets %s in from the private network only', async (preset, _, protocol) => {
    const { cluster } = lab()
    await enforcePresets(lab(), [preset])
    const count = async (from: 'internet' | 'private') =>
      countPackets(cluster, {
        from,
        protocol,
        source: clusterAddress[from].ipv4,
        destination: clusterAddress.node.ipv4,
      })
    expect(await count('internet')).toEqual({ arrived: 1, passed: 0 })
    expect(await count('private')).toEqual({ arrived: 1, passed: 1 })
  })
}
