import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { status } from '../../agent/fleet/status.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { staleAfterMs } from '../../agent/status/assess.ts'
import { startApiServer } from '../cluster/api-server.ts'
import { putOneNodeCluster } from '../cluster/one-node-cluster.ts'
import { startKubelet } from '../cluster/virtual-kubelet.ts'
import { connect, createTerminal, operatorOf } from '../fleet/fleet-fixture.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { startHost } from '../sandbox/host.ts'
import { dump, rulesIn } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { longRows } from './long-rows.ts'
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
const other = 100
const allRefused = {
  input: ['refused', 'refused'],
  forward: ['refused', 'refused'],
  output: ['refused', 'refused'],
}
const patient = { timeout: 30_000, interval: 20 }

const backends = await usableBackends()

describe.each(backends)('status on iptables-%s', (backend) => {
  let cluster: Cluster
  let mount: Awaited<ReturnType<typeof createMount>>
  let tools: Tools
  let agent: AgentProcess
  /** Names of the sets of the ruleset with the other list. */
  let otherSets: readonly string[]

  beforeAll(async () => {
    cluster = await createCluster({ backend })
    tools = await createTools()
    mount = await createMount({ 'worker.yaml': rulesetWith(other) })
    const never = ['--reapply-schedule', '0 0 1 1 *', '--verify-schedule', '* * * * * *']
    const args = ['--backend', backend, '--confirm-deadline', '15', ...never]
    agent = await startAgent(cluster.node, { rules: mount.folder, env: tools.env, args })
    await agent.next(({ state }) => state === 'Enforcing')
    otherSets = await setNames()
    await edit(0)
    await vi.waitFor(async () => expect(otherSets.filter(await isThere())).toEqual([]), patient)
    // The pass that has just destroyed them has not read back yet.
    const now = Date.now()
    await vi.waitFor(async () => expect((await said()).verifiedAt).toBeGreaterThan(now + 1_000), patient)
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
    agent.signal('SIGHUP')
    await expect.poll(async () => (await said()).verifiedAt, patient).toBeGreaterThan(now)
    expect(await said()).toMatchObject({ state: 'Enforcing' })
    expect(await knock()).toEqual(allRefused)
  }

  /** On legacy the same code answers, only later. */
  const ordinary = <T>(what: string, rows: readonly T[], nameOf: (row: T) => string) =>
    longRows(
      `status truths ${what}, on ${backend}`,
      rows,
      (row) => backend === 'nft' || /whole table|FORWARD accepts|new set/.test(nameOf(row)),
    )

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
          [
            'a native rule with a map of verdicts accepts first',
            async () => {
              for (const family of ['ip', 'ip6']) {
                const rule = ['tcp', 'dport', 'vmap', '{ 9090 : accept }']
                await cluster.node.exec('nft', ['insert', 'rule', family, 'filter', 'INPUT', ...rule])
              }
            },
            /stands before the jump from INPUT/,
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
  test.each(ordinary('undone', attacks, ([name]) => name))(
    '%s: said of both families, and undone',
    async (_, attack, message) => {
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
    },
  )

  type Trouble = {
    readonly name: string
    readonly begin: () => Promise<void>
    readonly end: () => Promise<void>
    /** What the state is meanwhile, and what is said. */
    readonly state: 'Degraded' | 'Enforcing'
    readonly says: RegExp
    /** What becomes of packets meanwhile, where it is not what the rules of before say. */
    readonly packets?: Partial<Awaited<ReturnType<typeof knock>>>
  }
  const edit = async (first: number, external?: readonly string[]) =>
    mount.write({ 'worker.yaml': rulesetWith(first, external) })
  const programs = families.map((family) => program(family, '-restore'))
  const troubles: readonly Trouble[] = [
    {
      name: 'the name of a new set is that of another kind, which somebody uses',
      async begin() {
        for (const [index, family] of families.entries()) {
          const [name, type] = [otherSets[index] ?? '', family === 'ipv4' ? 'inet' : 'inet6']
          // A pass that comes in between takes the set, which nobody uses yet, for a leftover.
          await vi.waitFor(async () => {
            await cluster.node.exec('ipset', ['-exist', 'create', name, 'hash:ip', 'family', type])
            await iptables([`-A INPUT -m set --match-set ${name} src -j ACCEPT`], [family])
          }, patient)
        }
        await edit(other)
      },
      async end() {
        for (const [index, family] of families.entries()) {
          const name = otherSets[index] ?? ''
          await iptables([`-D INPUT -m set --match-set ${name} src -j ACCEPT`], [family])
        }
        await expect.poll(setNames, patient).toEqual(otherSets)
        await edit(0)
      },
      state: 'Degraded',
      says: /ipv4: running ipset: .*set.*in use/i,
    },
    {
      name: 'the kernel takes other rules than those that were written',
      async begin() {
        for (const name of programs) {
          await tools.replace(
            name,
            `sed 's/--dport 22 /--dport 23 /' | PATH='${process.env['PATH']}' ${name} "$@"`,
          )
        }
        await edit(other)
      },
      async end() {
        for (const name of programs) await tools.giveBack(name)
        await expect.poll(setNames, patient).toEqual(otherSets)
        await edit(0)
      },
      state: 'Degraded',
      says: /ipv4: reading back ipv4 with \w+ after a commit: chain node-firewall differs: 1 missing rule, 1 foreign rule/,
    },
    {
      name: 'no interface has a name that a ruleset calls external',
      begin: async () => edit(0, ['eth9']),
      end: async () => edit(0),
      state: 'Enforcing',
      says: /but ruleset test matches nothing that comes in: no interface is called eth9 here/,
      packets: {
        input: ['accepted', 'accepted'],
        forward: ['accepted', 'accepted'],
        output: ['accepted', 'accepted'],
      },
    },
    {
      name: 'the only external interface disappears',
      async begin() {
        await cluster.node.exec('ip', ['link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'vpn1'])
        await edit(0, ['vpn0'])
        await agent.next(
          ({ msg, reasons }) => String(reasons).includes('verify') && msg.includes('verified with'),
        )
        await cluster.node.exec('ip', ['link', 'set', 'vpn0', 'name', 'vpn9'])
      },
      async end() {
        await cluster.node.exec('ip', ['link', 'set', 'vpn9', 'name', 'vpn0'])
        await expect.poll(async () => (await said()).message, patient).not.toContain('no interface is called')
        await edit(0)
        // A pass that is under way has read the edit before.
        await expect.poll(knock, patient).toEqual(allRefused)
      },
      state: 'Enforcing',
      says: /but ruleset test matches nothing that comes in: no interface is called vpn0 here/,
      packets: {
        input: ['accepted', 'accepted'],
        forward: ['accepted', 'accepted'],
        output: ['accepted', 'accepted'],
      },
    },
    {
      name: 'somebody else insists on the first place in FORWARD, until the moves are used up',
      async begin() {
        for (const insisted of families) {
          // A rule that comes between a commit and its reading back is told of as unhealed too, and goes with the next pass.
          do {
            await iptables(['-I FORWARD 1 -p tcp --dport 443 -j ACCEPT'], [insisted])
            const start = agent.log.length
            agent.signal('SIGHUP')
            const passed = () =>
              agent.log.slice(start).some(({ reasons }) => String(reasons).includes('signal'))
            await expect.poll(passed, patient).toBe(true)
          } while (!(await isFirst(insisted)))
        }
      },
      async end() {
        for (const family of families)
          while (await isPreceded(family))
            await iptables(['-D FORWARD -p tcp --dport 443 -j ACCEPT'], [family])
      },
      state: 'Degraded',
      says: /ipv6: a rule that can accept or drop stands before the jump from FORWARD/,
      packets: { forward: ['accepted', 'accepted'] },
    },
  ]
  test.each(ordinary('that last', troubles, ({ name }) => name))(
    '$name: said for as long as it is so',
    async ({ begin, end, state, says, packets }) => {
      await begin()
      await expect.poll(async () => (await said()).message, patient).toMatch(says)
      expect(await said()).toMatchObject({ state })
      expect(await knock()).toEqual({ ...allRefused, ...packets })
      await end()
      await expect.poll(async () => (await said()).message, patient).not.toMatch(says)
      await isWell()
    },
  )

  const onNft = backend === 'nft' ? test : () => {}
  onNft('who tells of changes dies: it is said, looked at once, and another one is started', async () => {
    const monitor = await monitorOf(agent.pid)
    const start = agent.log.length
    process.kill(monitor ?? Number.NaN, 'SIGKILL')
    await iptables(['-F node-firewall'])
    const since = () => agent.log.slice(start)
    await expect.poll(() => since().filter(({ healed }) => healed === true).length, patient).toBe(2)
    expect(since().map(({ msg }) => msg)).toContain('following the changes of netfilter was interrupted')
    await isWell()
    await expect.poll(async () => monitorOf(agent.pid), patient).toBeGreaterThan(0)
  })

  async function isFirst(family: Family): Promise<boolean> {
    const { stdout } = await cluster.node.exec(program(family, '-save'), ['-t', 'filter'])
    return /^-A FORWARD .*$/m.exec(stdout)?.[0].includes('--dport 443 -j ACCEPT') === true
  }

  async function isPreceded(family: Family): Promise<boolean> {
    return (await cluster.node.exec(program(family, '-save'), ['-t', 'filter'])).stdout.includes(
      '--dport 443 -j ACCEPT',
    )
  }

  async function isThere(): Promise<(set: string) => boolean> {
    const names = new Set(await setNames())
    return (set) => names.has(set)
  }

  async function setNames(): Promise<string[]> {
    const { stdout } = await cluster.node.exec('ipset', ['list', '-name'])
    return stdout.trim().split('\n').toSorted()
  }
})

describe.runIf(backends.length > 0)('an agent that says nothing any more', () => {
  const signals = ['SIGKILL', 'SIGSTOP'] as const
  test.each(longRows('agents that say nothing', signals, (signal) => signal === 'SIGKILL'))(
    '%s: the rules stay, what it said is stale after a while, and the next agent says it anew',
    async (signal) => {
      const [host, server] = [await startHost(), await startApiServer({ node: 'test-node' })]
      onTestFinished(async () => void (await Promise.all([host.close(), server.close()])))
      putOneNodeCluster(server, 'test-node')
      const kubelet = startKubelet(server, 'test-node')
      onTestFinished(kubelet.pause)
      const mount = await createMount({ 'worker.yaml': rulesetWith(0) })
      onTestFinished(mount.remove)
      const setting = { rules: mount.folder, kubeconfig: server.kubeconfigFile }
      const first = await startAgent(host, setting)
      onTestFinished(first.kill)
      const nodes = connect(server, { getAccess: operatorOf(server) })
      const ask = async (laterMs: number) => {
        const { terminal, text } = createTerminal()
        const effects = { signal: new AbortController().signal, nodes, terminal }
        const code = await status(undefined, {}, { ...effects, now: () => Date.now() + laterMs })
        return `${code} ${text()}`
      }
      await expect.poll(async () => ask(0), patient).toMatch(/^0 [^]*Enforcing/)
      const rulesBefore = rulesIn(await dump(host))
      process.kill(first.pid, signal)
      expect(await ask(staleAfterMs - 60_000)).toMatch(/^0 [^]*Enforcing/)
      expect(await ask(staleAfterMs + 60_000)).toMatch(/^4 [^]*Stale[^]*does its agent run/)
      expect(rulesIn(await dump(host))).toBe(rulesBefore)

      const verified = 'node-firewall.io/verified-at'
      const old = new Date(Date.now() - staleAfterMs - 60_000).toISOString()
      server.changeNode('test-node', { annotations: { [verified]: old } })
      expect(await ask(0)).toMatch(/^4 /)
      await first.kill()
      const second = await startAgent(host, setting)
      onTestFinished(second.kill)
      await expect.poll(async () => ask(0), patient).toMatch(/^0 [^]*Enforcing/)
    },
  )
})

/** The process that follows netfilter for an agent. */
async function monitorOf(agent: number): Promise<number | undefined> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    if (!new RegExp(`\\((nft|xtables-monitor)\\) \\S ${agent} `).test(stat)) continue
    if (/(nft\0|xtables-)monitor/.test(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
      return Number(pid)
  }
  return undefined
}
