import { expect, test } from 'vitest'
import { createDriftReader } from '../../agent/netfilter/drift-events.ts'

function culprits(lines: readonly string[], own: readonly number[] = []): string[] {
  const read = createDriftReader((pid) => (own.includes(pid) ? 'this program' : 'somebody else'))
  return lines.flatMap((line) => read(line) ?? [])
}

// as nft 1.0.6 prints them
const flush = [
  'delete rule ip filter node-firewall handle 5',
  '# new generation 7 by process 11054 (iptables-nft)',
]

test.each([
  ['a flush of our chain', flush],
  [
    'a deleted jump',
    ['delete rule ip filter INPUT handle 19', '# new generation 8 by process 11054 (iptables-nft)'],
  ],
  [
    'a new policy',
    [
      'add chain ip6 filter INPUT { type filter hook input priority filter; policy drop; }',
      '# new generation 8 by process 11054 (iptables-nft)',
    ],
  ],
  ['a deleted table', ['delete table ip filter', '# new generation 12 by process 11054 (iptables-nft)']],
  [
    'what xtables-monitor 1.8.9 prints of a flush',
    [' EVENT: -4 -t filter -D node-firewall -j DROP', 'NEWGEN: GENID=7 PID=11054 NAME=iptables-nft'],
  ],
  [
    'of a deleted jump',
    [' EVENT: -6 -t filter -D INPUT -j node-firewall', 'NEWGEN: GENID=7 PID=11054 NAME=iptables-nft'],
  ],
  [
    'of a new policy',
    [
      ' EVENT: # nft: ip filter INPUT use 1 type filter hook input prio 0 policy drop packets 0 bytes 0 flags 1',
      'NEWGEN: GENID=4 PID=11054 NAME=iptables-nft',
    ],
  ],
  [
    'of a deleted table',
    [
      ' EVENT: nft: DEL table: table filter ip6 flags 0 use 0 handle 2',
      'NEWGEN: GENID=9 PID=11054 NAME=iptables-nft',
    ],
  ],
  [
    'what xtables-monitor 1.8.11 prints of a flush',
    [' EVENT: iptables -t filter -D node-firewall -j ACCEPT', 'NEWGEN: GENID=11 PID=11054 NAME=iptables-nft'],
  ],
  [
    'of a deleted jump, on IPv6',
    [' EVENT: ip6tables -t filter -D INPUT -j node-firewall', 'NEWGEN: GENID=7 PID=11054 NAME=iptables-nft'],
  ],
  [
    'of a new policy, as a chain',
    [
      ' EVENT: nft: NEW chain: ip filter INPUT use 1 type filter hook input prio 0 policy drop packets 0 bytes 0',
      'NEWGEN: GENID=7 PID=11054 NAME=iptables-nft',
    ],
  ],
  ['among much else', ['add rule ip nat KUBE-SVC counter', ...flush]],
])('%s is told with its culprit', (_, lines) => {
  expect(culprits(lines)).toEqual(['iptables-nft (pid 11054)'])
})

test.each([
  [
    'a change of other chains',
    ['add rule ip filter KUBE-FORWARD counter', '# new generation 3 by process 1 (x)'],
  ],
  [
    'a change of other chains, as xtables-monitor prints it',
    [' EVENT: -4 -t filter -A KUBE-FORWARD -j RETURN', 'NEWGEN: GENID=3 PID=1 NAME=x'],
  ],
  [
    'a change of other chains, as later ones print it',
    [' EVENT: iptables -t filter -A KUBE-FORWARD -j RETURN', 'NEWGEN: GENID=3 PID=1 NAME=x'],
  ],
  [
    'a chain whose name begins like ours',
    ['add rule ip filter node-firewall-x counter', '# new generation 3 by process 1 (x)'],
  ],
  ['a change of other tables', ['add rule ip nat INPUT counter', '# new generation 3 by process 1 (x)']],
  ['half a commit', flush.slice(0, 1)],
])('%s is none of ours', (_, lines) => {
  expect(culprits(lines)).toEqual([])
})

test('what this agent did itself is no drift, and hides nobody else', () => {
  const others = flush.map((line) => line.replace('11054', '7'))
  expect(culprits([...flush, ...others], [11_054])).toEqual(['iptables-nft (pid 7)'])
})

test('what may be of this agent has no culprit, and is told all the same', () => {
  const names: string[] = []
  const read = createDriftReader((_, name) => {
    names.push(name)
    return 'perhaps this program'
  })
  expect(flush.map(read)).toEqual([undefined, ''])
  expect(names).toEqual(['iptables-nft'])
})
