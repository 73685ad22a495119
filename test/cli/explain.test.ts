import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { explain } from '../../agent/cli/explain.ts'
import type { ExplainOptions } from '../../agent/cli/explain.ts'
import { createMount } from '../sandbox/agent.ts'

const worker = `apiVersion: node-firewall.io/v1
kind: Ruleset
metadata:
  name: worker
spec:
  defaults:
    ingress: reject
    podEgress: drop
  sets:
    bastion: [203.0.113.10, "2001:db8:b::/64"]
  rules:
    - name: ssh
      action: accept
      protocol: tcp
      ports: [22]
      from: [bastion]
    - name: ping
      action: accept
      protocol: [icmp, icmpv6]
      icmpTypes: [echo-request]
      limit: { rate: 10/second }
    - name: telnet
      action: drop
      audit: true
      protocol: tcp
      ports: [23]
    - name: peers
      action: accept
      protocol: udp
      ports: [8472]
      from: [nodes]
    - name: web
      direction: egress
      endpoint: pods
      action: accept
      protocol: tcp
      ports: [443]
`

const other = `apiVersion: node-firewall.io/v1
kind: Ruleset
metadata:
  name: other
spec:
  nodeSelector:
    matchLabels: { pool: web }
  defaults:
    ingress: drop
`

afterEach(() => {
  vi.restoreAllMocks()
})

/** What the command prints, with the folder of the files left out. */
async function run(
  options: ExplainOptions,
  files: Readonly<Record<string, string>> = { 'worker.yaml': worker },
) {
  const stdout: string[] = []
  const stderr: string[] = []
  vi.spyOn(console, 'log').mockImplementation((text: string) => void stdout.push(text))
  vi.spyOn(console, 'error').mockImplementation((text: string) => void stderr.push(text))
  const mount = await createMount(files)
  const paths = Object.keys(files)
    .filter((name) => name !== 'node.yaml')
    .map((name) => join(mount.folder, name))
  const node = 'node.yaml' in files ? { node: join(mount.folder, 'node.yaml') } : { external: ['eth0'] }
  try {
    const code = await explain(paths, { set: ['nodes=10.0.0.0/24'], ...node, ...options })
    const printed = (lines: readonly string[]) => lines.join('\n').replaceAll(`${mount.folder}/`, '')
    return { code, stdout: printed(stdout), stderr: printed(stderr) }
  } finally {
    await mount.remove()
  }
}

describe('one connection', () => {
  test.each<[string, ExplainOptions, string[]]>([
    [
      'accepted by a rule',
      { from: '203.0.113.10', port: '22' },
      [
        'accept: tcp from 203.0.113.10 to 192.0.2.1 port 22, in on eth0, to a process of the node',
        'because: ingress: rule "ssh" of ruleset worker (worker.yaml:12) says accept',
      ],
    ],
    [
      'denied by the default, and what came close',
      { from: '198.51.100.7', port: '22' },
      [
        'reject: tcp from 198.51.100.7 to 192.0.2.1 port 22, in on eth0, to a process of the node',
        'because: ingress: default ingress of ruleset worker (worker.yaml:7) says reject',
        'near: rule "ssh" of ruleset worker (worker.yaml:12) would accept it, but its "from" wants 203.0.113.10/32, 2001:db8:b::/64',
      ],
    ],
    [
      'accepted by a failsafe',
      { from: '10.0.0.1', port: '10250' },
      [
        'accept: tcp from 10.0.0.1 to 192.0.2.1 port 10250, in on eth0, to a process of the node',
        'because: ingress: failsafe kubelet (none seen, so 10250; apiServers not known) says accept',
      ],
    ],
    [
      'within limits',
      { from: '198.51.100.7', proto: 'icmp' },
      [
        'accept: icmp type 8/0 from 198.51.100.7 to 192.0.2.1, in on eth0, to a process of the node',
        'because: ingress: rule "ping" of ruleset worker (worker.yaml:17) says accept, within limits: what exceeds them is dropped',
      ],
    ],
    [
      'with a rule in audit mode',
      { from: '198.51.100.7', port: '23', in: 'cni0' },
      [
        'accept: tcp from 198.51.100.7 to 192.0.2.1 port 23, in on cni0, to a process of the node',
        'because: ingress: no rule matches, and no default denies it',
        'near: default ingress of ruleset worker (worker.yaml:7) would reject it, but its interface wants eth0',
      ],
    ],
    [
      'with a rule in audit mode that matches',
      { from: '198.51.100.7', port: '23' },
      [
        'reject: tcp from 198.51.100.7 to 192.0.2.1 port 23, in on eth0, to a process of the node',
        'because: ingress: default ingress of ruleset worker (worker.yaml:7) says reject',
        'audit: rule "telnet" of ruleset worker (worker.yaml:22) would drop it',
      ],
    ],
    [
      'from a set of the cluster',
      { from: '10.0.0.9', proto: 'udp', port: '8472' },
      [
        'accept: udp from 10.0.0.9 to 192.0.2.1 port 8472, in on eth0, to a process of the node',
        'because: ingress: rule "peers" of ruleset worker (worker.yaml:27) says accept',
      ],
    ],
    [
      'to a NodePort',
      { from: '203.0.113.10', to: '192.0.2.7', port: '22', via: 'nodePort' },
      [
        'accept: tcp from 203.0.113.10 to 192.0.2.7 port 22, translated to 192.0.2.129 port 22, in on eth0, out on pod0',
        'because: ingress: rule "ssh" of ruleset worker (worker.yaml:12) says accept',
      ],
    ],
    [
      'from a pod, through two flows',
      { egress: true, endpoint: 'pods', to: '2001:db8:9::1', port: '443' },
      [
        'accept: tcp from 2001:db8::8001 to 2001:db8:9::1 port 443, in on pod0, out on eth0',
        'passed: podIngress: no rule matches, and no default denies it',
        'because: podEgress: rule "web" of ruleset worker (worker.yaml:32) says accept',
      ],
    ],
    [
      'from the node, another way out',
      { egress: true, to: '198.51.100.7', proto: '47', out: 'eth1' },
      [
        'accept: gre from 192.0.2.1 to 198.51.100.7, from a process of the node, out on eth1',
        'because: egress: no rule matches, and no default denies it',
      ],
    ],
  ])('%s', async (_, options, lines) => {
    expect(await run(options)).toEqual({ code: 0, stdout: lines.join('\n'), stderr: '' })
  })

  test('as JSON', async () => {
    const { stdout } = await run({ from: '198.51.100.7', port: '22', json: true })
    const rule = { kind: 'rule', ruleset: 'worker', name: 'ssh' }
    expect(JSON.parse(stdout)).toMatchObject({
      action: 'reject',
      connection: { family: 'ipv4', protocol: 6, dialled: { port: 22 } },
      decisions: [{ flow: 'ingress', by: { kind: 'default' }, at: ['worker.yaml:7'] }],
      nearMisses: [{ rule, field: 'from', at: ['worker.yaml:12'] }],
    })
  })

  test.each<[string, NonNullable<ExplainOptions['expect']>, number, string]>([
    ['as it is', 'reject', 0, ''],
    ['otherwise', 'accept', 1, 'expected accept, found reject'],
  ])('with an expectation: %s', async (_, wanted, code, stderr) => {
    const result = await run({ from: '198.51.100.7', port: '22', expect: wanted })
    expect(result).toMatchObject({ code, stderr })
  })
})

describe('of a node', () => {
  const node = (pool: string) =>
    JSON.stringify({
      kind: 'Node',
      metadata: {
        labels: { pool },
        annotations: { 'node-firewall.io/status': '{"interfaces":{"external":["ens5"]}}' },
      },
      status: {
        addresses: [
          { type: 'Hostname', address: 'n1' },
          { type: 'InternalIP', address: '10.7.0.1' },
        ],
      },
    })

  test('labels, interfaces and addresses are taken', async () => {
    const files = { 'other.yaml': other, 'node.yaml': node('web') }
    const { stdout } = await run({ from: '198.51.100.7', port: '22' }, files)
    expect(stdout).toContain('drop: tcp from 198.51.100.7 to 10.7.0.1 port 22, in on ens5')
  })

  test('that no ruleset selects, everything is accepted', async () => {
    const files = { 'other.yaml': other, 'node.yaml': node('db') }
    const result = await run({ from: '198.51.100.7', port: '22', expect: 'drop' }, files)
    expect(result).toEqual({
      code: 1,
      stdout: 'accept: no ruleset selects this node',
      stderr: 'expected drop, found accept',
    })
  })
})

test('a set that nobody knows is warned of', async () => {
  const { stderr } = await run({ from: '10.0.0.9', proto: 'udp', port: '8472', set: [] })
  expect(stderr).toBe('warning: nobody is in the set nodes here: say who is with --set nodes=ADDRESS,...')
})

test('rulesets with errors are not explained', async () => {
  const result = await run({ from: '10.0.0.9', port: '22' }, { 'a.yaml': 'kind: Ruleset\n' })
  expect(result).toMatchObject({ code: 1, stdout: '' })
  expect(result.stderr).toContain('a.yaml:1:1: apiVersion: found nothing')
})

describe('what makes no sense is an error that says why', () => {
  const from = '198.51.100.7'
  test.each<[string, ExplainOptions, RegExp]>([
    ['no source', { port: '22' }, /give --from ADDRESS/],
    ['no destination of egress', { egress: true, port: '22' }, /give --to ADDRESS/],
    ['no port', { from }, /give --port NUMBER/],
    ['a port that is none', { from, port: '0' }, /--port: found 0, expected a port from 1 to 65535/],
    ['a port without need', { from, proto: 'icmp', port: '22' }, /--port goes with tcp, udp and sctp alone/],
    ['a network', { from: '10.0.0.0/8', port: '22' }, /--from: found 10.0.0.0\/8, expected one address/],
    ['no address', { from: 'me', port: '22' }, /--from: found me: not an IPv4 or IPv6 address/],
    [
      'two families',
      { from, to: '2001:db8::1', port: '22' },
      /--to: found 2001:db8::1, expected an address of ipv4/,
    ],
    ['a protocol that is none', { from, proto: 'tpc', port: '22' }, /--proto: found tpc, expected tcp/],
    ['ICMP of the other family', { from, proto: 'icmpv6' }, /--proto: found icmpv6, expected icmp with/],
    [
      'an ICMP type of TCP',
      { from, proto: 'tcp', port: '22', icmpType: '8' },
      /--icmp-type goes with --proto icmp/,
    ],
    ['an ICMP type that is none', { from, icmpType: 'pingg' }, /--icmp-type: found "pingg"/],
    ['a NodePort of pods', { from, port: '22', via: 'nodePort', endpoint: 'pods' }, /goes with neither/],
    [
      'a set of nobody',
      { from, port: '22', set: ['friends=10.0.0.1'] },
      /--set: found friends=10.0.0.1, expected NAME/,
    ],
    [
      'a set of everybody, which no kernel set holds',
      { from, port: '22', set: ['nodes=::/0'] },
      /--set nodes=::\/0: found ::\/0, expected a network that/,
    ],
    ['a set of no address', { from, port: '22', set: ['nodes=me'] }, /--set nodes=me: found me: not an IPv4/],
    ['an expectation of a matrix', { matrix: true, expect: 'drop' }, /does not go with --matrix/],
  ])('%s', async (_, options, complaint) => {
    await expect(run(options)).rejects.toThrow(complaint)
  })
})

describe('the matrix', () => {
  test('as a table a family', async () => {
    const { code, stdout } = await run({ matrix: true })
    expect(code).toBe(0)
    expect(`\n${stdout}\n`).toBe(`
IPv4

                                 internet  private  nodes    bastion
tcp 22                           reject    reject   reject   accept
tcp 10250 (process of the node)  reject    accept   accept   reject
tcp other                        reject    reject   reject   reject
udp 8472                         reject    reject   accept   reject
udp other                        reject    reject   reject   reject
icmp 3,11-12                     accept    accept   accept   accept
icmp echo-request                accept*   accept*  accept*  accept*
icmp other                       reject    reject   reject   reject
igmp                             accept    accept   accept   accept
other protocols                  reject    reject   reject   reject

* within the limits of the rule

IPv6

                                 internet  private  bastion
tcp 22                           reject    reject   accept
tcp 10250 (process of the node)  reject    accept   reject
tcp other                        reject    reject   reject
udp                              reject    reject   reject
icmpv6 1-4,130-137,143           accept    accept   accept
icmpv6 echo-request              accept*   accept*  accept*
icmpv6 other                     reject    reject   reject
igmp                             reject    reject   reject
other protocols                  reject    reject   reject

* within the limits of the rule
`)
  })

  test('as JSON', async () => {
    const { stdout } = await run({ matrix: true, json: true })
    expect(JSON.parse(stdout)).toMatchObject([
      { family: 'ipv4', columns: [['internet'], ['private'], ['nodes'], ['bastion']] },
      { family: 'ipv6' },
    ])
  })
})
