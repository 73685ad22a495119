import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { observe } from '../sandbox/observe.ts'
import { packet, udp } from '../sandbox/packet.ts'
import { rawShapes } from '../sandbox/raw-shapes.ts'
import { frameTo, sendRaw } from '../sandbox/raw.ts'
import { sendShapes } from '../sandbox/send-shapes.ts'

const backends = await usableBackends()

describe.each(backends)('raw packets to a node on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend })
  })
  afterAll(async () => cluster.close())

  test('come as far as their shape says, when nothing filters', async () => {
    const firstPort = 20_000
    const datagrams = rawShapes().flatMap(({ protocol }, index) =>
      protocol === 'udp' ? firstPort + index : [],
    )
    await Promise.all(datagrams.map(async (port) => cluster.node.listen('udp', port)))
    const observer = await observe(cluster.node)
    const { internet: source, node: destination } = clusterAddress
    const sent = await sendShapes({
      from: cluster.internet,
      source,
      destination,
      observer,
      place: 'input',
      firstPort,
    })
    await observer.close()
    const seen = sent.map(async ({ name, family, protocol, port, reaches, passed }) => {
      const answered = protocol === 'udp' && (await cluster.node.received(port)) > 0
      const expected = reaches === 'input on nft' ? (backend === 'nft' ? 'input' : 'nowhere') : reaches
      return {
        name: `${family}, ${name}`,
        got: answered ? 'process' : passed ? 'input' : 'nowhere',
        expected,
      }
    })
    const done = await Promise.all(seen)
    expect(done.map(({ name, got }) => `${name}: ${got}`)).toEqual(
      done.map(({ name, expected }) => `${name}: ${expected}`),
    )
  })

  test('pass the node straight to a pod, except what is INVALID to conntrack', async () => {
    const observer = await observe(cluster.node)
    const { internet: source, pod: destination } = clusterAddress
    const sent = await sendShapes({ from: cluster.internet, source, destination, observer, place: 'forward' })
    await observer.close()
    const name = (shape: (typeof sent)[number]) => `${shape.family}, ${shape.name}`
    const expected = sent.filter(({ reaches, invalid = false }) => reaches !== 'nowhere' && !invalid)
    expect(sent.filter(({ passed }) => passed).map(name)).toEqual(expected.map(name))
  })

  test('stop at a rule that drops them, which the observer tells', async () => {
    const observer = await observe(cluster.node)
    const jumps = ['iptables', 'ip6tables'].map((program) => [`${program}-${backend}`, 'INPUT'] as const)
    for (const [program, chain] of jumps)
      await cluster.node.exec(program, ['-I', chain, '-i', 'eth0', '-j', 'DROP'])
    const { internet: source, node: destination } = clusterAddress
    const sent = await sendShapes({ from: cluster.internet, source, destination, observer, place: 'input' })
    for (const [program, chain] of jumps)
      await cluster.node.exec(program, ['-D', chain, '-i', 'eth0', '-j', 'DROP'])
    await observer.close()
    expect(sent.filter(({ passed }) => passed).map(({ name }) => name)).toEqual([])
  })

  test('a wrong checksum never reaches a process, so the right ones are right', async () => {
    await cluster.node.listen('udp', 19_000)
    for (const family of families) {
      const transport = udp(40_000, 19_000, 'an odd number of bytes..')
      const before = await cluster.node.received(19_000)
      await sendRaw(cluster.internet, [
        packet({ ...path(family), transport, checksumError: 1 }),
        packet({ ...path(family), transport }),
      ])
      await expectAfterAllSent(cluster)
      expect(await cluster.node.received(19_000), `in ${family}`).toBe(before + 1)
    }
  })

  test('observing tells what is for the node, passes through it and comes from it, by the port after DNAT', async () => {
    const observer = await observe(cluster.node)
    for (const family of families) {
      const before = await observer.read()
      await cluster.internet.probe({ protocol: 'tcp', address: clusterAddress.node[family], port: 22 })
      await cluster.internet.probe({ protocol: 'tcp', address: clusterAddress.node[family], port: 30_080 })
      await cluster.node.probe({ protocol: 'tcp', address: clusterAddress.internet[family], port: 443 })
      const after = await observer.read()
      const grown = (['arrival', 'input', 'forward', 'output'] as const).flatMap((place) =>
        [22, 8080, 30_080, 443]
          .filter((port) => after.at(place, 'tcp', port) > before.at(place, 'tcp', port))
          .map((port) => `${place} ${port}`),
      )
      expect(grown, `in ${family}`).toEqual([
        'arrival 22',
        'arrival 30080',
        'input 22',
        'forward 8080',
        'output 443',
      ])
    }
    await observer.close()
  })

  test('a frame brings a packet for 127.0.0.1 to the node, where KUBE-FIREWALL drops it', async () => {
    await cluster.node.listen('udp', 19_001)
    const martian = packet({
      source: clusterAddress.lan.ipv4,
      destination: '127.0.0.1',
      transport: udp(40_000, 19_001, 'martian'),
    })
    const frame = await frameTo(cluster.node, 'eth1', martian)
    const rule = ['KUBE-FIREWALL', '1'] as const
    const send = async () => {
      await sendRaw(cluster.lan, [frame])
      await expectAfterAllSent(cluster, 'lan')
      return cluster.node.received(19_001)
    }
    expect(await send()).toBe(0)
    const { stdout } = await cluster.node.exec(`iptables-${backend}`, ['-S', ...rule])
    await cluster.node.exec(`iptables-${backend}`, ['-D', ...rule])
    expect(await send(), 'without that rule').toBe(1)
    await cluster.node.exec('sh', ['-c', `iptables-${backend} ${stdout}`])
  })
})

function path(family: Family) {
  return { source: clusterAddress.internet[family], destination: clusterAddress.node[family] }
}

/** What was sent before has arrived, or never will: a later datagram on the same way has been answered. */
async function expectAfterAllSent(cluster: Cluster, from: 'internet' | 'lan' = 'internet'): Promise<void> {
  for (const family of families) {
    const probe = {
      protocol: 'udp',
      address: clusterAddress.node[family],
      port: 8472,
      silenceMs: 5000,
    } as const
    expect(await cluster[from].probe(probe)).toBe('accepted')
  }
}
