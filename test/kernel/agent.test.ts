import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, AgentSetting, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { openTables, rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

const backends = await usableBackends()
const ssh = { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] }
const closed = rulesetOf({ rules: [ssh], defaults: { ingress: 'reject' } })
const closedMore = rulesetOf({ defaults: { ingress: 'reject' } })

const enforcing = (line: LogLine) => line['state'] === 'Enforcing'
const written = (line: LogLine) => line.msg === 'rules written'

describe.each(backends)('the agent on iptables-%s', (backend) => {
  let sandbox: Sandbox
  let mount: Awaited<ReturnType<typeof createMount>>
  let agents: AgentProcess[]

  beforeEach(async () => {
    agents = []
    mount = await createMount({ 'worker.yaml': closed })
    sandbox = await createSandbox()
    for (const port of [22, 80]) await sandbox.node.listen('tcp', port)
  })
  afterEach(async () => {
    for (const agent of agents) await agent.stop()
    await mount.remove()
    await sandbox.close()
  })

  async function start(setting: Partial<AgentSetting> = {}): Promise<AgentProcess> {
    const args = ['--backend', backend, ...(setting.args ?? [])]
    const agent = await startAgent(sandbox.node, { rules: mount.folder, ...setting, args })
    agents.push(agent)
    return agent
  }

  async function knock(port: number) {
    const outcomes = families.map(async (family) =>
      sandbox.internet.probe({ protocol: 'tcp', address: nodeAddress[family], port }),
    )
    return Promise.all(outcomes)
  }

  /** The rules of our chain and the jumps to it, of both families, with counters. */
  async function readRules(): Promise<string> {
    const tables = await openTables(sandbox.node)
    const read = await Promise.all(families.map(async (family) => tables.read(backend, family)))
    return JSON.stringify(read.map((table) => [...table]))
  }

  test('puts a mounted ruleset in force, follows its changes, and leaves it at the end', async () => {
    const agent = await start()
    await agent.next(enforcing)
    expect([await knock(22), await knock(80)]).toEqual([
      ['accepted', 'accepted'],
      ['refused', 'refused'],
    ])
    await mount.write({ 'worker.yaml': closedMore })
    await agent.next(written)
    await agent.next(enforcing)
    expect(await knock(22)).toEqual(['refused', 'refused'])
    expect(await agent.stop()).toBe(0)
    expect(await knock(22)).toEqual(['refused', 'refused'])
  })

  test('writes nothing when it starts on a node that already stands', async () => {
    const first = await start()
    await first.next(enforcing)
    await first.stop()
    const before = await readRules()
    const second = await start()
    await second.next(enforcing)
    await second.stop()
    expect(second.log.filter(written)).toEqual([])
    expect(await readRules()).toBe(before)
  })

  test('keeps counters when it rewrites, and when other rules change', async () => {
    const agent = await start({ args: ['--reapply-schedule', '* * * * * *'] })
    await agent.next(enforcing)
    await knock(22)
    await agent.next(written)
    await agent.next(enforcing)
    const more = { ...ssh, name: 'more', ports: [8080] }
    await mount.write({ 'worker.yaml': rulesetOf({ rules: [ssh, more], defaults: { ingress: 'reject' } }) })
    await agent.next(
      (line) => written(line) && agent.log.some(({ reasons }) => String(reasons).includes('files')),
    )
    await agent.next(enforcing)
    const table = await (await openTables(sandbox.node)).read(backend, 'ipv4')
    const rule = table.get('node-firewall')?.rules.find(({ text }) => text.includes('test/ssh'))
    expect(rule?.counters).toMatch(/^\[1:\d+\]$/)
  })

  test('another text of the same meaning is no change of rules', async () => {
    const agent = await start()
    await agent.next(enforcing)
    const before = await readRules()
    await mount.write({ 'renamed.yaml': `# a comment\n${JSON.stringify(JSON.parse(closed), null, 2)}` })
    await agent.next(({ reasons }) => String(reasons).includes('files'))
    expect(agent.log.filter(written)).toHaveLength(2)
    expect(await readRules()).toBe(before)
  })

  test('SIGHUP asks for a pass', async () => {
    const agent = await start()
    await agent.next(enforcing)
    agent.signal('SIGHUP')
    const line = await agent.next(({ reasons }) => String(reasons).includes('signal'))
    expect(line['state']).toBe('Enforcing')
  })

  test('a ruleset for other nodes leaves this one without rules, and says so', async () => {
    const agent = await start()
    await agent.next(enforcing)
    const selector = { matchLabels: { 'kubernetes.io/hostname': 'another' } }
    await mount.write({ 'worker.yaml': rulesetOf({ nodeSelector: selector, defaults: { ingress: 'drop' } }) })
    await agent.next(({ state }) => state === 'Off')
    expect(await readRules()).not.toContain('node-firewall')
    expect(await knock(80)).toEqual(['accepted', 'accepted'])
  })

  test.each(families)('a family that fails leaves the other one alone: %s', async (family) => {
    const restore = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-restore`
    const shims = await createShims()
    await shims.put(restore, 'echo "no memory" >&2; exit 4')
    const agent = await start({ env: shims.env })
    const line = await agent.next(({ state }) => state === 'Degraded')
    expect(line.msg).toContain(`${family}: running ${restore}: exit status 4: no memory`)
    expect(await knock(80)).toEqual(families.map((each) => (each === family ? 'accepted' : 'refused')))
    await shims.remove()
    await agent.next(enforcing)
    expect(await knock(80)).toEqual(['refused', 'refused'])
  })

  test.each([
    ['stops half-way', String.raw`printf '*filter\n:INPUT ACCEPT [0:0]\n'`, 'it ends before COMMIT'],
    ['is empty', 'true', 'found nothing'],
    ['is incompatible', "echo \"# Table \\`filter' is incompatible, use 'nft' tool.\"", 'is incompatible'],
    ['fails', 'echo "no memory" >&2; exit 4', 'exit status 4: no memory'],
  ])('an answer that %s is unknown, and nothing is written upon it', async (_, script, complaint) => {
    const shims = await createShims()
    const agent = await start({ env: shims.env })
    await agent.next(enforcing)
    const before = await readRules()
    await shims.put(`iptables-${backend}-save`, script)
    agent.signal('SIGHUP')
    const line = await agent.next(({ state }) => state === 'Degraded')
    expect(line.msg).toContain(complaint)
    expect(line.msg).toContain('ipv4 unknown')
    expect(agent.log.filter(written)).toHaveLength(2)
    expect(await readRules()).toBe(before)
    await shims.remove()
    await agent.next(enforcing)
    expect(agent.log.filter(written)).toHaveLength(2)
  })
})

describe.runIf(backends.includes('legacy'))('a node that changes its backend', () => {
  test('gets its rules in the new one, and none stay in the old one', async () => {
    const sandbox = await createSandbox()
    const mount = await createMount({ 'worker.yaml': closed })
    const agent = await startAgent(sandbox.node, {
      rules: mount.folder,
      args: ['--verify-schedule', '* * * * * *'],
    })
    await agent.next((line) => written(line) && line['backend'] === 'nft')
    await agent.next(enforcing)
    await sandbox.node.exec('iptables-legacy', ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])
    await agent.next((line) => written(line) && line['backend'] === 'legacy')
    await agent.next(enforcing)
    const tables = await openTables(sandbox.node)
    expect((await tables.read('legacy', 'ipv4')).has('node-firewall')).toBe(true)
    expect((await tables.read('nft', 'ipv4')).has('node-firewall')).toBe(false)
    expect((await tables.read('nft', 'ipv6')).has('node-firewall')).toBe(false)
    await agent.stop()
    await mount.remove()
    await sandbox.close()
  })
})
