import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { describeFinding } from '../../agent/bypass/finding.ts'
import { findBypasses } from '../../agent/bypass/find-bypasses.ts'
import { readDataplane } from '../../agent/host/dataplane.ts'
import { attachBpf, indexOf, passing, redirectingTo } from '../sandbox/attach-bpf.ts'
import type { BpfHook } from '../sandbox/attach-bpf.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { enforce, rulesetOf } from './enforce.ts'

const backends = await usableBackends()

async function findingsOf(host: Host, external = ['eth0']): Promise<string[]> {
  const dataplane = await readDataplane(host.exec, host.pid, external)
  expect(dataplane.unread).toEqual([])
  return findBypasses(dataplane).map(describeFinding)
}

const closed = rulesetOf({
  defaults: { ingress: 'drop' },
  rules: [{ name: 'web', action: 'accept', protocol: 'tcp', ports: [8080] }],
})

describe.each(backends)('beside the rules of iptables-%s', (backend) => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    await Promise.all([8080, 9090].map(async (port) => sandbox.node.listen('tcp', port)))
    await sandbox.node.listen('udp', 4789)
    await enforce(sandbox.node, backend, closed)
  })
  // Deleting takes a table that exists.
  afterEach(async () => nft('table inet theirs', 'delete table inet theirs'))
  afterAll(async () => sandbox.close())

  const nft = async (...lines: readonly string[]) =>
    void (await sandbox.node.exec('nft', ['-f', '-'], { input: `${lines.join('\n')}\n` }))

  const theirs = async (...chains: readonly string[]) => nft('table inet theirs {', ...chains, '}')

  const dial = async (port: number) =>
    sandbox.internet.probe({ protocol: 'tcp', address: nodeAddress.ipv4, port })

  test('nothing is reported of a node that has nothing but them', async () => {
    expect(await findingsOf(sandbox.node)).toEqual([])
    expect([await dial(8080), await dial(9090)]).toEqual(['accepted', 'silence'])
  })

  test('an nft chain that accepts first lets nothing past them, and is not reported', async () => {
    await theirs('chain in { type filter hook input priority -10; policy accept; tcp dport 9090 accept; }')
    expect(await dial(9090)).toBe('silence')
    expect(await findingsOf(sandbox.node)).toEqual([])
  })

  test.each([
    ['before them, by its policy', 'type filter hook input priority -10; policy drop; tcp dport 22 accept;'],
    ['after them, by its policy', 'type filter hook input priority 10; policy drop; tcp dport 22 accept;'],
    ['by a rule', 'type filter hook prerouting priority -150; policy accept; tcp dport 8080 drop;'],
    [
      'by a map of the rule',
      'type filter hook input priority 5; policy accept; tcp dport vmap { 8080: drop };',
    ],
  ])('an nft chain that drops %s denies what they accept, and is reported', async (_, chain) => {
    await theirs(`chain in { ${chain} }`)
    expect(await dial(8080)).toBe('silence')
    expect(await findingsOf(sandbox.node)).toEqual([
      expect.stringMatching(
        /^nft table inet theirs (drops what it does not accept|can deny what rules here accept)/,
      ),
    ])
  })

  test("a chain that stands in iptables' own table under another name is reported", async () => {
    await nft('table ip filter { chain theirs { type filter hook input priority 1; policy drop; }; }')
    expect(await dial(8080)).toBe('silence')
    expect(await findingsOf(sandbox.node)).toEqual([
      expect.stringMatching(/^nft table ip filter drops what it does not accept itself \(theirs at input/),
    ])
    await nft('delete chain ip filter theirs')
    expect(await findingsOf(sandbox.node)).toEqual([])
  })

  test('an nft chain that keeps packets from conntrack lets them past, and is reported', async () => {
    await theirs(
      'chain pre { type filter hook prerouting priority -300; policy accept; tcp dport 9090 notrack; }',
      'chain out { type filter hook output priority -300; policy accept; tcp sport 9090 notrack; }',
    )
    expect(await dial(9090)).toBe('accepted')
    expect(await findingsOf(sandbox.node)).toEqual([
      'nft table inet theirs keeps packets from conntrack (notrack), and untracked packets pass our rules; ' +
        'deny in that table what must not come in, or track it',
    ])
  })

  test('a rule of the raw table that does lets them past, and is reported', async () => {
    const raw = async (how: '-A' | '-D') =>
      sandbox.node.exec('sh', [
        '-c',
        `iptables-${backend} -t raw ${how} PREROUTING -p udp --dport 4789 -j NOTRACK &&
         iptables-${backend} -t raw ${how} OUTPUT -p udp --sport 4789 -j NOTRACK`,
      ])
    const send = async () =>
      sandbox.internet.probe({ protocol: 'udp', address: nodeAddress.ipv4, port: 4789 })
    expect(await send()).toBe('silence')
    await raw('-A')
    expect(await send()).toBe('accepted')
    expect(await findingsOf(sandbox.node)).toEqual([
      expect.stringContaining(
        'ipv4: what "-A PREROUTING -p udp -m udp --dport 4789 -j NOTRACK" in the raw table',
      ),
    ])
    await raw('-D')
    expect(await findingsOf(sandbox.node)).toEqual([])
  })

  test('reading makes no raw table where there is none', async () => {
    const host = await startHost()
    await findingsOf(host, [])
    const { stdout } = await host.exec('nft', ['list', 'tables'])
    const { stdout: legacy } = await host.exec('cat', [`/proc/${host.pid}/net/ip_tables_names`])
    await host.close()
    expect(stdout + legacy).toBe('')
  })

  test('NodePorts that kube-proxy translates in nftables mode are judged by what was dialled', async () => {
    await nft(
      'table ip kube-proxy {',
      'chain service-web { meta l4proto tcp redirect to :8080; }',
      'chain service-other { meta l4proto tcp redirect to :9090; }',
      'chain no-endpoints { ip daddr 192.0.2.1 reject; }',
      'chain nat-prerouting { type nat hook prerouting priority -100;',
      'tcp dport vmap { 30080: goto service-web, 8080: goto service-other }; }',
      'chain filter-input { type filter hook input priority 0; ct state new jump no-endpoints; }',
      '}',
    )
    expect(await dial(30_080), 'leads to the open 8080').toBe('silence')
    expect(await dial(8080), 'leads to the closed 9090').toBe('accepted')
    expect(await findingsOf(sandbox.node)).toEqual([])
    await nft('delete table ip kube-proxy')
  })
})

describe.skipIf(backends.length === 0)('BPF programs', () => {
  const hooks: readonly BpfHook[] = ['xdp', 'tc', 'tcx']

  test.each(hooks)('are seen at the interface they are attached to: %s', async (hook) => {
    const host = await startHost()
    await host.exec('ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1'])
    expect(await findingsOf(host)).toEqual([])
    await attachBpf(host, hook, 'eth0', { name: 'who_knows', instructions: passing(hook) })
    expect(await findingsOf(host, ['eth1'])).toEqual([])
    expect(await findingsOf(host)).toEqual([
      expect.stringContaining(`the BPF program who_knows (${hook}) on eth0 sees packets before netfilter`),
    ])
    await host.close()
  })

  test('are seen at the port of a bridge that faces clients', async () => {
    const host = await startHost()
    const commands = [
      'link add br0 type bridge',
      'link add eth0 type veth peer name other0',
      'link set eth0 master br0',
    ]
    await host.exec('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` })
    await attachBpf(host, 'xdp', 'eth0', { name: 'who_knows', instructions: passing('xdp') })
    expect(await findingsOf(host, ['br0'])).toHaveLength(1)
    await host.close()
  })

  test('of Cilium mean what its settings say, where its devices are', async () => {
    const proc = await mkdtemp(join(tmpdir(), 'node-firewall-proc-'))
    const host = await startHost()
    const header = join(proc, String(host.pid), 'root/run/cilium/state/globals/node_config.h')
    await mkdir(dirname(header), { recursive: true })
    await writeFile(header, '#define ENABLE_NODEPORT 1\n#define ENABLE_HOST_ROUTING 1\n')
    const read = async () => {
      const dataplane = await readDataplane(host.exec, host.pid, ['eth0'], proc)
      return findBypasses(dataplane).map(({ what }) => what.replace(/ in BPF.*/, ''))
    }
    await host.exec('ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1'])
    await attachBpf(host, 'tc', 'eth0', { name: 'cil_from_netdev', instructions: passing('tc') })
    expect(await read()).toEqual([
      "Cilium may translate NodePorts, hostPorts and load balancers' addresses",
      'Cilium may route packets of pods',
    ])
    await host.exec('ip', ['link', 'add', 'cilium_net', 'type', 'veth', 'peer', 'name', 'cilium_host'])
    expect(await read()).toEqual([
      "Cilium translates NodePorts, hostPorts and load balancers' addresses",
      'Cilium routes packets of pods',
    ])
    await host.close()
    await rm(proc, { recursive: true })
  })

  test('that hand packets to a pod let them past rules for pods, as the finding says', async () => {
    const [backend = 'nft'] = backends
    const cluster = await createCluster({ backend, pods: 'routed' })
    await enforce(cluster.node, backend, rulesetOf({ defaults: { podIngress: 'drop' } }))
    const send = async () => {
      await cluster.internet.probe({ protocol: 'udp', address: clusterAddress.pod.ipv4, port: 5353 })
      return cluster.pod.received(5353)
    }
    expect(await send()).toBe(0)
    const instructions = redirectingTo(await indexOf(cluster.node, 'vethpod'))
    await attachBpf(cluster.node, 'tcx', 'eth0', { name: 'cil_from_netdev', instructions })
    expect(await send()).toBe(1)
    expect(await findingsOf(cluster.node)).toContainEqual(
      expect.stringContaining(
        'Cilium may route packets of pods in BPF, past FORWARD: rules and defaults for pods do not hold',
      ),
    )
    await cluster.close()
  })
})
