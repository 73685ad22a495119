import { afterEach, beforeEach, expect, test } from 'vitest'
import { readFamilies, readNodeFacts } from '../../agent/host/network.ts'
import { formatCidr } from '../../agent/ruleset/address.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

let host: Host
beforeEach(async () => {
  host = await startHost()
  for (const [index, name] of ['eth0', 'eth1', 'eth2'].entries()) {
    await ip(`link add ${name} type veth peer name peer${index}`)
    await ip(`address add 10.0.${index}.1/24 dev ${name}`)
    await ip(`address add fd00:${index}::1/64 dev ${name} nodad`)
    await ip(`link set ${name} up`)
  }
})
afterEach(async () => host.close())

const ip = async (command: string) => host.exec('ip', command.split(' '))
const addresses = async () => (await readNodeFacts(host.exec)).addresses.map(formatCidr)
const external = async () => (await readNodeFacts(host.exec)).external

test('no default route: no external interface', async () => {
  const facts = await readNodeFacts(host.exec)
  expect(facts.external).toEqual([])
  expect(facts.interfaces.toSorted()).toEqual(['eth0', 'eth1', 'eth2', 'lo', 'peer0', 'peer1', 'peer2'])
})

test.each([
  ['IPv4', ['route add default via 10.0.0.2'], ['eth0']],
  ['IPv6', ['-6 route add default via fd00:1::2'], ['eth1']],
  [
    'both families, different interfaces',
    ['route add default via 10.0.0.2', '-6 route add default via fd00:1::2'],
    ['eth0', 'eth1'],
  ],
  ['another routing table, as on AWS', ['route add default via 10.0.2.2 table 10001'], ['eth2']],
  ['several next hops', ['route add default nexthop via 10.0.0.2 nexthop via 10.0.1.2'], ['eth0', 'eth1']],
  [
    'several IPv6 next hops',
    ['-6 route add default nexthop via fd00:1::2 nexthop via fd00:2::2'],
    ['eth1', 'eth2'],
  ],
  ['a route that leads nowhere', ['route add unreachable default', '-6 route add blackhole default'], []],
  ['a device without a gateway', ['route add default dev eth2'], ['eth2']],
])('default routes: %s', async (_, commands, expected) => {
  await host.exec('ip', ['link', 'set', 'lo', 'up'])
  for (const command of commands) await ip(command)
  expect(await external()).toEqual(expected)
})

test('addresses of all interfaces, each as one host, and none of loopback and link', async () => {
  await ip('link set lo up')
  expect(await addresses()).toEqual([
    '10.0.0.1/32',
    '10.0.1.1/32',
    '10.0.2.1/32',
    'fd00:1::1/128',
    'fd00:2::1/128',
    'fd00::1/128',
  ])
})

test.each([
  ['one that stands on the loopback device', ['address add 192.0.2.7/32 dev lo'], ['192.0.2.7/32']],
  ['one that is there twice', ['address add 10.0.0.1/32 dev eth1'], []],
  ['one of an interface that is down', ['address add 192.0.2.8/24 dev peer1'], ['192.0.2.8/32']],
  ['the end of a tunnel that is ours', ['address add 192.0.2.9 peer 192.0.2.10 dev eth0'], ['192.0.2.9/32']],
  [
    'a link-local one that somebody added',
    ['address add 169.254.20.10/32 dev eth0', 'address add fe80::5/64 dev eth0 nodad'],
    [],
  ],
  ['a second one of the loopback network', ['address add 127.0.0.53/8 dev lo'], []],
  [
    'those of Services in IPVS mode',
    ['link add kube-ipvs0 type veth peer name x', 'address add 10.96.0.1/32 dev kube-ipvs0'],
    [],
  ],
  [
    'those of the DNS cache',
    ['link add nodelocaldns type veth peer name x', 'address add 10.96.0.10/32 dev nodelocaldns'],
    [],
  ],
])('addresses: %s', async (_, commands, expected) => {
  const before = await addresses()
  for (const command of commands) await ip(command)
  expect(await addresses()).toEqual([...before, ...expected].toSorted())
})

test('families that the namespace has', async () => {
  expect(await readFamilies(host.pid)).toEqual(['ipv4', 'ipv6'])
})
