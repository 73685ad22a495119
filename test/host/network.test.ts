import { afterEach, beforeEach, expect, test } from 'vitest'
import { readFamilies, readNodeFacts } from '../../agent/host/network.ts'
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
const external = async () => (await readNodeFacts(host.exec)).external

test('no default route: no external interface', async () => {
  expect(await readNodeFacts(host.exec)).toEqual({
    external: [],
    interfaces: expect.arrayContaining(['lo', 'eth0', 'peer0', 'eth1', 'peer1', 'eth2', 'peer2']),
  })
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

test('families that the namespace has', async () => {
  expect(await readFamilies(host.pid)).toEqual(['ipv4', 'ipv6'])
})
