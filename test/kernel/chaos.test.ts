import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { rulesetOf } from './enforce.ts'

const backends = await usableBackends()
const ssh = { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] }
const closed = rulesetOf({ rules: [ssh], defaults: { ingress: 'reject' } })

/** What somebody else does to the rules while the agent runs: iptables commands, and how the agent calls it. */
const attacks: readonly (readonly [
  name: string,
  kind: string,
  message: RegExp,
  commands: readonly string[],
])[] = [
  ['flushes the chain', 'chain-changed', /chain node-firewall is empty/, ['-F node-firewall']],
  ['deletes the jump', 'jump-missing', /does not jump to node-firewall/, ['-D INPUT -j node-firewall']],
  ['adds a second jump', 'jump-repeated', /2 times/, ['-A INPUT -j node-firewall']],
  ['limits the jump', 'jump-changed', /limited to some packets/, ['-R INPUT 1 -i eth0 -j node-firewall']],
  [
    'inserts a terminal rule above the jump',
    'jump-preceded',
    /stands before the jump/,
    ['-I INPUT 1 -p tcp --dport 80 -j ACCEPT'],
  ],
  [
    'inserts a jump to a chain that accepts',
    'jump-preceded',
    /stands before the jump/,
    ['-N other', '-A other -p tcp --dport 80 -j ACCEPT', '-I INPUT 1 -j other'],
  ],
  [
    'edits a rule but keeps its comment',
    'chain-changed',
    /1 missing rule, 1 foreign rule/,
    ['-R node-firewall 2 -m comment --comment "failsafe loopback" -j ACCEPT'],
  ],
  [
    'adds a foreign rule inside the chain',
    'chain-changed',
    /1 foreign rule/,
    ['-I node-firewall 1 -p tcp --dport 80 -j ACCEPT'],
  ],
  [
    'deletes the chain',
    'chain-missing',
    /chain node-firewall does not exist/,
    ['-D INPUT -j node-firewall', '-F node-firewall', '-X node-firewall'],
  ],
]

describe.each(backends)('chaos on iptables-%s', (backend) => {
  let sandbox: Sandbox
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess

  beforeAll(async () => {
    mount = await createMount({ 'worker.yaml': closed })
    sandbox = await createSandbox()
    await sandbox.node.listen('tcp', 80)
    // Only nft tells of changes at once; on legacy they are found by the verify pass. On nft it must not help.
    const schedule = backend === 'nft' ? '0 0 1 1 *' : '* * * * * *'
    const args = ['--backend', backend, '--verify-schedule', schedule, '--reapply-schedule', '0 0 1 1 *']
    agent = await startAgent(sandbox.node, { rules: mount.folder, args })
    await agent.next(({ state }) => state === 'Enforcing')
  })
  afterAll(async () => {
    await agent.stop()
    await mount.remove()
    await sandbox.close()
  })

  /** All in one commit: on nft the agent is quicker than a second command. */
  async function iptables(family: Family, ...commands: readonly string[]): Promise<void> {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-restore`
    const input = ['*filter', ...commands, 'COMMIT', ''].join('\n')
    await sandbox.node.exec(program, ['--noflush', '--wait=10'], { input })
  }

  async function driftCount(): Promise<number> {
    const status = await agent.status()
    return (JSON.parse(status['node-firewall.io/status'] ?? '') as { drift: { count: number } }).drift.count
  }

  const all = attacks.flatMap((attack) => families.map((family) => [attack[0], family, attack] as const))
  test.each(all)(
    'somebody %s (%s): noticed, healed, counted, named',
    async (_, family, [, kind, message, commands]) => {
      const before = await driftCount()
      await iptables(family, ...commands)
      const healed = (line: LogLine) =>
        line['kind'] === kind && message.test(line.msg) && line['family'] === family
      const line = await agent.next(healed)
      expect(line['healed']).toBe(true)
      if (backend === 'nft') expect(line['by']).toMatch(/^ip6?tables-nft-r\w* \(pid \d+\)$/)
      await expect.poll(driftCount).toBeGreaterThan(before)
      const status = await agent.status()
      expect(status['node-firewall.io/state']).toBe('Enforcing')
      expect(status['node-firewall.io/status']).toMatch(message)
      const probe = { protocol: 'tcp', address: nodeAddress[family], port: 80 } as const
      expect(await sandbox.internet.probe(probe)).toBe('refused')
    },
  )
  test('somebody flips the policy of INPUT: noticed, counted, named, and left to its owner', async () => {
    const before = await driftCount()
    await sandbox.node.exec(`iptables-${backend}`, ['--wait', '-P', 'INPUT', 'DROP'])
    const line = await agent.next(({ kind }) => kind === 'policy-changed')
    expect(line['healed']).toBe(false)
    await expect.poll(driftCount).toBe(before + 1)
    expect((await agent.status())['node-firewall.io/status']).toContain('the policy of INPUT is DROP')
    await sandbox.node.exec(`iptables-${backend}`, ['--wait', '-P', 'INPUT', 'ACCEPT'])
    await agent.next(({ kind }) => kind === 'policy-changed')
  })

  test('somebody fights for the first place: after a few moves it is reported, not fought', async () => {
    for (;;) {
      await iptables('ipv6', '-I INPUT 1 -p tcp --dport 81 -j ACCEPT')
      const line = await agent.next(({ kind }) => kind === 'jump-preceded')
      if (line['healed'] === false) break
    }
    const line = await agent.next(({ state }) => state === 'Degraded')
    expect(line.msg).toContain('ipv6: a rule that can accept or drop stands before the jump')
    expect(line['notEnforceable']).toEqual([
      expect.stringContaining('-A INPUT -p tcp -m tcp --dport 81 -j ACCEPT'),
    ])
    const writes = agent.log.filter(({ msg }) => msg === 'rules written').length
    agent.signal('SIGHUP')
    await agent.next(({ reasons }) => String(reasons).includes('signal'))
    expect(agent.log.filter(({ msg }) => msg === 'rules written')).toHaveLength(writes)
    while (await jumpIsPreceded()) await iptables('ipv6', '-D INPUT -p tcp --dport 81 -j ACCEPT')
    agent.signal('SIGHUP')
    await agent.next(({ state }) => state === 'Enforcing')
  })

  async function jumpIsPreceded(): Promise<boolean> {
    const { stdout } = await sandbox.node.exec(`ip6tables-${backend}-save`, ['-t', 'filter'])
    return stdout.includes('--dport 81')
  }

  // The nft backend takes no lock: the kernel's commits are its own.
  const onLegacy = backend === 'legacy' ? test : () => {}
  onLegacy('somebody holds the xtables lock: the agent waits, and says so', async () => {
    const holder = spawn('flock', [
      process.env['XTABLES_LOCKFILE'] ?? '',
      'sh',
      '-c',
      'echo held; read -r line',
    ])
    await once(holder.stdout, 'data')
    await mount.write({ 'worker.yaml': rulesetOf({ rules: [ssh], defaults: { ingress: 'drop' } }) })
    // Who only reads waits for no lock. Three seconds are longer than any commit takes by itself.
    let waiting: readonly string[] = []
    let since = performance.now()
    const waited = async () => {
      const now = await childrenOf(agent.pid, 'iptables-legacy')
      if (!now.some((pid) => waiting.includes(pid))) since = performance.now()
      waiting = now
      return performance.now() - since
    }
    await expect.poll(waited, { timeout: 45_000 }).toBeGreaterThan(3_000)
    expect(await sandbox.internet.probe({ protocol: 'tcp', address: nodeAddress.ipv4, port: 80 })).toBe(
      'refused',
    )
    holder.stdin.end('release\n')
    const line = await agent.next(({ state }) => state === 'Enforcing')
    expect(JSON.stringify(line['warnings'])).toContain('may have held the xtables lock')
    expect(await sandbox.internet.probe({ protocol: 'tcp', address: nodeAddress.ipv4, port: 80 })).toBe(
      'silence',
    )
  })
})

/** Numbers of the processes that one has started, which still run a program of this name. */
async function childrenOf(parent: number, name: string): Promise<string[]> {
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const stats = processes.map(async (pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
  const fields = (await Promise.all(stats)).map((stat) => /^(\d+) \((.*)\) \S (\d+)/.exec(stat) ?? [])
  return fields.flatMap(([, pid = '', of, by]) => (of === name && by === String(parent) ? [pid] : []))
}
