import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { readListeningPorts } from '../../agent/host/listening.ts'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { Listening } from '../../agent/host/sockets.ts'
import { findTunnels, tunnelFields } from '../../agent/host/tunnels.ts'
import type { Tunnel } from '../../agent/policy/policy.ts'
import { formatCidr } from '../../agent/ruleset/address.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

const links = z.array(z.object({ ifname: z.string(), ...tunnelFields }))

/** Tunnels as one line each. */
function lines(tunnels: readonly Tunnel[]): string[] {
  return tunnels.map(({ kind, protocols, ports = [], device = '-', locals }) =>
    [kind, protocols.join('+'), ports.join(',') || '-', device, ...locals.map(formatCidr)].join(' '),
  )
}

function socket(protocol: 'tcp' | 'udp', port: number, address?: string): Listening {
  return { protocol, port, family: 'ipv4', inode: port, ...(address === undefined ? {} : { address }) }
}

/** A device as `ip -json -details address show` (iproute2 6.1) prints it, with what is of no interest left out. */
function device(ifname: string, kind: string, data: object = {}, flags = ['NOARP', 'UP', 'LOWER_UP']) {
  return { ifname, flags, mtu: 1480, linkinfo: { info_kind: kind, info_data: data }, addr_info: [] }
}

const flannel = { id: 1, local: '192.168.133.7', link: 'eth0', port: 8472, learning: false, ttl: 0 }
const collecting = { external: true, id: 0, port: 8472, learning: false, ttl: 0 }
const wireguard = device('wg0', 'wireguard')

describe('devices', () => {
  test.each<[string, readonly object[], readonly Listening[], readonly string[]]>([
    [
      'VXLAN of Flannel',
      [device('flannel.1', 'vxlan', flannel)],
      [],
      ['vxlan 17 8472 flannel.1 192.168.133.7/32'],
    ],
    [
      'VXLAN of Cilium, which takes any',
      [device('cilium_vxlan', 'vxlan', collecting)],
      [],
      ['vxlan 17 8472 cilium_vxlan'],
    ],
    [
      'VXLAN over IPv6',
      [device('v6', 'vxlan', { port: 4789, local6: 'fd00::7' })],
      [],
      ['vxlan 17 4789 v6 fd00::7/128'],
    ],
    [
      'Geneve',
      [device('g0', 'geneve', { id: 5, remote: '10.0.0.2', port: 6082 })],
      [],
      ['geneve 17 6082 g0'],
    ],
    [
      'Geneve that takes any: no port is printed',
      [device('cilium_geneve', 'geneve', { external: true })],
      [],
      ['geneve 17 6081 cilium_geneve'],
    ],
    [
      'Geneve of Open vSwitch, by its name',
      [device('genev_sys_6999', 'geneve', { external: true })],
      [],
      ['geneve 17 6999 genev_sys_6999'],
    ],
    [
      'IP in IP',
      [device('tunl0', 'ipip', { proto: 'ipip', remote: 'any', local: 'any', ttl: 0 })],
      [],
      ['ipip 4 - tunl0'],
    ],
    [
      'IP in IP that nobody switched on',
      [device('tunl0', 'ipip', { remote: 'any', local: 'any' }, ['NOARP'])],
      [],
      [],
    ],
    ['IPv6 in IPv4', [device('sit1', 'sit', { local: '192.0.2.1' })], [], ['sit 41 - sit1 192.0.2.1/32']],
    [
      'in IPv6',
      [device('ip6tnl1', 'ip6tnl', { proto: 'any', local: '2001:db8::1' })],
      [],
      ['ip6tnl 4+41 - ip6tnl1 2001:db8::1/128'],
    ],
    ['GRE', [device('gre1', 'gretap', { local: 'any' })], [], ['gretap 47 - gre1']],
    [
      'WireGuard by the ports that listen',
      [wireguard],
      [socket('udp', 51_820), socket('udp', 51_821), socket('udp', 53)],
      ['wireguard 17 51820,51821 wg0'],
    ],
    [
      'WireGuard, and a process on its port',
      [wireguard],
      [socket('udp', 51_820, '10.0.0.1'), socket('tcp', 51_820)],
      ['wireguard 17 - wg0'],
    ],
    ['WireGuard on a port that nobody knows', [wireguard], [], ['wireguard 17 - wg0']],
    ['BGP', [], [socket('tcp', 179)], ['bgp 6 179 -']],
    ['BGP for this host alone', [], [socket('tcp', 179, '127.0.0.1')], []],
    [
      'no tunnels',
      [device('eth0', 'veth'), device('cni0', 'bridge', { local: 5, port: 'x' }), { ifname: 'lo' }],
      [],
      [],
    ],
    [
      'one for each node',
      ['10.0.0.3', '10.0.0.2'].map((remote, index) =>
        device(`tun-${index}`, 'ipip', { remote, local: '10.0.0.1' }),
      ),
      [],
      ['ipip 4 - - 10.0.0.1/32'],
    ],
    [
      'in one order',
      [
        device('wg0', 'wireguard'),
        device('flannel.1', 'vxlan', flannel),
        device('cali', 'vxlan', { port: 4789 }),
      ],
      [],
      ['vxlan 17 4789 cali', 'vxlan 17 8472 flannel.1 192.168.133.7/32', 'wireguard 17 - wg0'],
    ],
  ])('%s', (_, printed, listening, expected) => {
    expect(lines(findTunnels(links.parse(printed), listening))).toEqual(expected)
  })
})

describe('the kernel', () => {
  let host: Host
  beforeAll(async () => {
    host = await startHost()
    await host.exec('ip', 'link set lo up'.split(' '))
  })
  afterAll(async () => host.close())
  const read = async () => readNodeFacts(host.exec, readListeningPorts(host.pid))

  test.each([
    ['vxlan', 'id 5 dstport 8472 local 127.0.0.1', ['vxlan 17 8472 made 127.0.0.1/32']],
    ['vxlan', 'external dstport 4790', ['vxlan 17 4790 made']],
    ['geneve', 'id 5 remote 127.0.0.2 dstport 6082', ['geneve 17 6082 made']],
    ['ipip', 'local 127.0.0.1 remote 127.0.0.2', ['ipip 4 - made 127.0.0.1/32']],
    ['sit', 'local 127.0.0.1 remote 127.0.0.2', ['sit 41 - made 127.0.0.1/32']],
    ['gre', 'local 127.0.0.1 remote 127.0.0.2', ['gre 47 - made 127.0.0.1/32']],
    ['wireguard', '', ['wireguard 17 - made']],
  ])('makes %s %s', async (kind, options, expected) => {
    const add = ['link', 'add', 'made', 'type', kind, ...options.split(' ').filter(Boolean)]
    const failure = await host.exec('ip', add).then(() => undefined, String)
    if (failure !== undefined) {
      console.warn(`SKIPPED: a device of the kind ${kind}, which this kernel does not make: ${failure}`)
      return
    }
    try {
      expect((await read()).tunnels).toEqual([])
      await host.exec('ip', 'link set made up'.split(' '))
      expect(lines((await read()).tunnels ?? [])).toEqual(expected)
    } finally {
      await host.exec('ip', 'link delete made'.split(' '))
    }
  })

  test('listens for BGP', async () => {
    await host.listen('tcp', 179)
    expect(lines((await read()).tunnels ?? [])).toEqual(['bgp 6 179 -'])
  })

  test('tells its interfaces even where the details cannot be read', async () => {
    const facts = await readNodeFacts(async (program, args, options) => {
      const answer = await host.exec(program, args, options)
      return args.includes('-details') ? { ...answer, stdout: '[{"ifname":"tun0",tun type' } : answer
    })
    expect(facts.interfaces).toContain('lo')
    expect(facts.tunnels).toBeUndefined()
  })
})
