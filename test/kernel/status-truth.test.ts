import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { staticSetName } from '../../agent/netfilter/ipset-text.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { rulesetOf } from './enforce.ts'
import { createTools } from './tools.ts'
import type { Tools } from './tools.ts'

/*
 * The status never says that rules are in force which are not. Each row is a way in which they can be gone, or be
 * others, behind the agent's back: what it says then, what becomes of packets, and that all is well by itself when the
 * cause is gone. Here are those that no other file has:
 *
 * - chains that are emptied or edited, a jump that is gone, repeated, limited or preceded in INPUT: chaos.test.ts
 * - programs that are missing, hang, fail or print garbage, while the agent runs and when it starts:
 *   fault-commands.test.ts, fault-start.test.ts; answers that are cut off or incompatible: agent.test.ts
 * - one family that fails, and the other that does not: agent.test.ts, ../lockout
 * - kernel sets that are emptied, edited or half filled: ipsets.test.ts, ../cluster/cluster-sets.test.ts
 * - what takes packets past netfilter: bypass.test.ts
 * - an API server that is away or talks nonsense: ../cluster/fault-api.test.ts; clocks: fault-clock.test.ts
 * - an agent that is dead or hangs: below, and with all that status prints in ../fleet/status.test.ts
 */

const { internet, node } = clusterAddress
const listOf = (first: number) =>
  Array.from({ length: 20 }, (_, index) => [
    `192.0.2.${first + index * 2}`,
    `2001:db8:bad::${first + index * 2}`,
  ])
const rules = [
  { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] },
  { name: 'blocked', action: 'drop', from: ['blocked'] },
  { name: 'out', direction: 'egress', action: 'reject', to: [internet.ipv4, internet.ipv6] },
]
const rulesetWith = (first: number, external: readonly string[] = ['eth0']) =>
  rulesetOf({
    interfaces: { external },
    sets: { blocked: listOf(first).flat() },
    defaults: { ingress: 'reject', podEgress: 'reject' },
    rules,
  })
const allRefused = {
  input: ['refused', 'refused'],
  forward: ['refused', 'refused'],
  output: ['refused', 'refused'],
}
const patient = { timeout: 20_000, interval: 20 }

describe.each(await usableBackends())('status on iptables-%s', (backend) => {
  let cluster: Cluster
  let mount: Awaited<ReturnType<typeof createMount>>
  let tools: Tools
  let agent: AgentProcess

  beforeAll(async () => {
    cluster = await createCluster({ backend })
    tools = await createTools()
    mount = await createMount({ 'worker.yaml': rulesetWith(0) })
    const never = ['--reapply-schedule', '0 0 1 1 *', '--verify-schedule', '* * * * * *']
    const args = ['--backend', backend, '--confirm-deadline', '2', ...never]
    agent = await startAgent(cluster.node, { rules: mount.folder, env: tools.env, args })
    await agent.next(({ state }) => state === 'Enforcing')
  })
  afterAll(async () => {
    expect(await agent.stop()).toBe(0)
    await mount.remove()
    await tools.remove()
    await cluster.close()
  })

  const program = (family: Family, verb = '') =>
    `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}${verb}`

  /** All in one commit, in each family. */
  async function iptables(commands: readonly string[], own: readonly Family[] = families): Promise<void> {
    const input = ['*filter', ...commands, 'COMMIT', ''].join('\n')
    for (const family of own) {
      await cluster.node.exec(program(family, '-restore'), ['--noflush', '--wait=10'], { input })
    }
  }

  /** What becomes of connections through each hook, by family. */
  async function knock() {
    const dial = async (
      from: 'internet' | 'pod' | 'node',
      to: Readonly<Record<Family, string>>,
      port: number,
    ) =>
      Promise.all(
        families.map(async (family) => cluster[from].probe({ protocol: 'tcp', address: to[family], port })),
      )
    const [input, forward, output] = [
      dial('internet', node, 9090),
      dial('pod', internet, 443),
      dial('node', internet, 443),
    ]
    return { input: await input, forward: await forward, output: await output }
  }

  async function said() {
    const status = await agent.status()
    const details = JSON.parse(status['node-firewall.io/status'] ?? '{}') as {
      readonly warnings: readonly string[]
    }
    return {
      state: status['node-firewall.io/state'],
      message: status['node-firewall.io/message'],
      verifiedAt: Date.parse(status['node-firewall.io/verified-at'] ?? ''),
      details,
    }
  }

  /** All is read back, after this moment, and found right. */
  async function isWell(): Promise<void> {
    const now = Date.now()
    await expect.poll(async () => (await said()).verifiedAt, patient).toBeGreaterThan(now)
    expect(await said()).toMatchObject({ state: 'Enforcing' })
    expect(await knock()).toEqual(allRefused)
  }

  const empty = [
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    'COMMIT',
    '',
  ]
  const attacks: readonly (readonly [string, () => Promise<void>, RegExp])[] = [
    [
      'the whole table is emptied',
      async () => {
        for (const family of families) {
          await cluster.node.exec(program(family, '-restore'), ['--wait=10'], { input: empty.join('\n') })
        }
      },
      /chain node-firewall does not exist/,
    ],
    ...(backend === 'nft'
      ? [
          [
            'all tables of all families are deleted',
            async () => void (await cluster.node.exec('nft', ['flush', 'ruleset'])),
            /chain node-firewall does not exist/,
          ] as const,
        ]
      : []),
    [
      'the jump from FORWARD is gone',
      async () => iptables(['-D FORWARD -j node-firewall-fwd']),
      /FORWARD does not jump/,
    ],
    [
      'the jump from OUTPUT is gone',
      async () => iptables(['-D OUTPUT -j node-firewall-out']),
      /OUTPUT does not jump/,
    ],
    [
      'FORWARD accepts first',
      async () => iptables(['-I FORWARD 1 -j ACCEPT']),
      /stands before the jump from FORWARD/,
    ],
    [
      'OUTPUT accepts first',
      async () => iptables(['-I OUTPUT 1 -j ACCEPT']),
      /stands before the jump from OUTPUT/,
    ],
    [
      'a jump stands behind a rule that accepts',
      async () =>
        iptables(['-D INPUT -j node-firewall', '-A INPUT -p tcp -j ACCEPT', '-A INPUT -j node-firewall']),
      /stands before the jump from INPUT/,
    ],
  ]
  test.each(attacks)('%s: said of both families, and undone', async (_, attack, message) => {
    const start = agent.log.length
    await attack()
    const told = () =>
      families.filter((family) =>
        agent.log
          .slice(start)
          .some((line) => line['family'] === family && line['healed'] === true && message.test(line.msg)),
      )
    await expect.poll(told, patient).toEqual(families)
    await isWell()
  })
  void execFile
  void promisify
  void readdir
  void readFile
  void staticSetName
  void parseCidr
  type X = LogLine
  const x: X | undefined = undefined
  void x
})
