import { describe, expect, test } from 'vitest'
import type { Dataplane } from '../../agent/bypass/dataplane.ts'
import { findBypasses } from '../../agent/bypass/find-bypasses.ts'
import { describeFinding } from '../../agent/bypass/finding.ts'
import type { NftTable } from '../../agent/bypass/nft-tables.ts'
import { parseUntracked } from '../../agent/bypass/untracked.ts'
import { bare } from './bare.ts'

function table(name: string, rest: Partial<NftTable>): NftTable {
  return { family: 'inet', name, chains: [], flowtables: [], verdicts: new Set(), ...rest }
}

const input = { name: 'INPUT', type: 'filter', hook: 'input', priority: 0, policy: 'accept' }
const ofCilium = { interface: 'eth0', hook: 'tcx', name: 'cil_from_netdev' } as const

describe('what is found', () => {
  test.each<[string, Partial<Dataplane>, RegExp[]]>([
    ['of a node that has nothing beside netfilter', {}, []],
    [
      'of Cilium with kube-proxy replacement and BPF host routing',
      { programs: [ofCilium], cilium: { replacesKubeProxy: true, routesInBpf: true } },
      [/Cilium translates NodePorts.* on eth0, before netfilter/, /Cilium routes packets of pods in BPF/],
    ],
    [
      'of Cilium with kube-proxy replacement only',
      { programs: [ofCilium], cilium: { replacesKubeProxy: true, routesInBpf: false } },
      [/Cilium translates NodePorts/],
    ],
    [
      'of Cilium beside kube-proxy, with the host firewall',
      { programs: [ofCilium], cilium: { replacesKubeProxy: false, routesInBpf: false } },
      [],
    ],
    [
      'of Cilium without programs at the interface',
      { cilium: { replacesKubeProxy: false, routesInBpf: false } },
      [],
    ],
    [
      'of Cilium that says nothing of itself',
      { programs: [ofCilium], cilium: {} },
      [/Cilium may translate NodePorts/, /Cilium may route packets of pods/],
    ],
    [
      'of Cilium whose programs may not be looked for, nor its settings',
      { unseen: ['eth0'], cilium: {} },
      [/Cilium may translate NodePorts.* on eth0, before netfilter/, /Cilium may route packets of pods/],
    ],
    [
      'of Cilium whose programs may not be asked for their names, once',
      { programs: [{ ...ofCilium, name: '' }], cilium: {} },
      [/Cilium may translate NodePorts.* on eth0, before netfilter/, /Cilium may route packets of pods/],
    ],
    [
      'of a program without a name beside Cilium that says how it is set',
      { programs: [{ ...ofCilium, name: '' }], cilium: { replacesKubeProxy: true, routesInBpf: true } },
      [/^a BPF program without a name \(tcx\) on eth0/],
    ],
    ['of interfaces whose programs may not be looked for', { unseen: ['eth0'] }, []],
    [
      'of Cilium with acceleration by XDP, once for all of its programs',
      {
        programs: [ofCilium, { interface: 'eth1', hook: 'xdp', name: 'cil_xdp_entry' }],
        cilium: { replacesKubeProxy: true, routesInBpf: false },
      },
      [/ on eth0, eth1, before netfilter/],
    ],
    [
      "of Calico's eBPF mode by its program, whose name the kernel cuts",
      { programs: [{ interface: 'eth0', hook: 'tc', name: 'cali_tc_preambl' }] },
      [/Calico's eBPF mode translates NodePorts.* on eth0 before netfilter/],
    ],
    [
      "of Calico's eBPF mode by its devices alone",
      { hasCalicoDevices: true },
      [/Calico's eBPF mode translates NodePorts and load balancers' addresses before netfilter/],
    ],
    [
      "of Calico's untracked policies",
      { programs: [{ interface: 'eth0', hook: 'xdp', name: 'cali_xdp_preamb' }] },
      [/Calico's untracked policies on eth0/],
    ],
    [
      'of programs that nobody knows, once for a name',
      {
        programs: [
          { interface: 'eth0', hook: 'xdp', name: 'xdp_lb' },
          { interface: 'eth1', hook: 'xdp', name: 'xdp_lb' },
          { interface: 'eth0', hook: 'tc', name: '' },
        ],
      },
      [
        /^the BPF program xdp_lb \(xdp\) on eth0, eth1 .*may drop/,
        /^a BPF program without a name \(tc\) on eth0/,
      ],
    ],
    ['of Open vSwitch', { switched: ['br-ex'] }, [/^br-ex belongs to Open vSwitch/]],
    [
      "of kube-proxy's table, which drops by design",
      { tables: [table('kube-proxy', { chains: [input], verdicts: new Set(['drop', 'reject']) })] },
      [],
    ],
    [
      'of a table that has nothing in it but chains, as Debian brings it',
      { tables: [table('filter', { chains: [input] })] },
      [],
    ],
    [
      'of a table that rejects',
      { tables: [table('firewalld', { chains: [input], verdicts: new Set(['reject']) })] },
      [/^nft table inet firewalld can deny what rules here accept \(INPUT at input\); allow there too/],
    ],
    [
      'of a table that is closed',
      { tables: [table('filter', { chains: [{ ...input, policy: 'drop' }] })] },
      [/^nft table inet filter drops what it does not accept itself \(INPUT at input, policy drop\)/],
    ],
    [
      'of a table that sends packets elsewhere at ingress',
      {
        tables: [
          table('fast', {
            family: 'netdev',
            chains: [{ ...input, hook: 'ingress' }],
            verdicts: new Set(['fwd']),
          }),
        ],
      },
      [/^nft table netdev fast sends packets to another interface/],
    ],
    [
      'of a flowtable',
      { tables: [table('x', { flowtables: ['ft'] })] },
      [/^the flowtable ft of nft table inet x/],
    ],
    [
      'of rules that keep packets from conntrack',
      {
        untracked: [
          { family: 'ipv6', rule: '-A PREROUTING -j NOTRACK' },
          { family: 'ipv6', rule: '-A OUTPUT -j NOTRACK' },
        ],
      },
      [/^ipv6: what "-A PREROUTING -j NOTRACK" and 1 more in the raw table matches is untracked/],
    ],
  ])('%s', (_, dataplane, expected) => {
    const found = findBypasses({ ...bare, ...dataplane }).map(describeFinding)
    expect(found).toEqual(expected.map((pattern) => expect.stringMatching(pattern)))
  })
})

describe('rules of a raw table that keep packets from conntrack', () => {
  test.each<[string, string, boolean]>([
    ["the port of Felix's tunnel", '-A cali-PREROUTING -p udp -m udp --dport 4789 -j NOTRACK', true],
    ['as a target of its own name', '-A PREROUTING -s 10.0.0.0/8 -j CT --notrack', true],
    ['in a zone', '-A PREROUTING -j CT --zone 1 --notrack', true],
    ['a zone alone', '-A PREROUTING -j CT --zone 1', false],
    [
      "the node's DNS cache",
      '-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK',
      false,
    ],
    [
      "what Cilium's proxy has marked",
      '-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -m comment --comment "cilium: NOTRACK for proxy traffic" -j CT --notrack',
      false,
    ],
    ['replies', '-A OUTPUT -p udp -m udp --sport 4789 -j NOTRACK', false],
    ["what the node's own connections use", '-A OUTPUT -p udp -m udp --dport 4789 -j NOTRACK', true],
    ['a comment that says so', '-A PREROUTING -m comment --comment "-j NOTRACK" -j ACCEPT', false],
    ['a chain', ':NOTRACK - [0:0]', false],
  ])('%s', (_, rule, expected) => {
    expect(parseUntracked(`*raw\n${rule}\nCOMMIT\n`, 'ipv4')).toEqual(
      expected ? [{ family: 'ipv4', rule }] : [],
    )
  })
})
