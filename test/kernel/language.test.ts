import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { openTables, rulesetOf } from './enforce.ts'

const backends = await usableBackends()
const ssh = { protocol: 'tcp', ports: [22] }

/** What the running agent makes of the parts of the language that are more than a rule. */
describe.each(backends)('the agent on iptables-%s', (backend) => {
  let sandbox: Sandbox
  let mount: Awaited<ReturnType<typeof createMount>> | undefined
  let agent: AgentProcess | undefined

  beforeEach(async () => {
    sandbox = await createSandbox()
    for (const port of [22, 80]) await sandbox.node.listen('tcp', port)
    await sandbox.node.listen('udp', 7)
  })
  afterEach(async () => {
    await agent?.stop()
    await mount?.remove()
    await sandbox.close()
  })

  async function start(files: Readonly<Record<string, string>>): Promise<AgentProcess> {
    mount = await createMount(files)
    agent = await startAgent(sandbox.node, { rules: mount.folder, args: ['--backend', backend] })
    await agent.next(({ state }) => state !== undefined)
    return agent
  }

  async function probe(port: number, client: 'internet' | 'private' = 'internet') {
    const outcomes = families.map(async (family) =>
      sandbox[client].probe({ protocol: 'tcp', address: nodeAddress[family], port }),
    )
    return Promise.all(outcomes)
  }

  async function packetsOf(comment: string): Promise<number> {
    const table = await (await openTables(sandbox.node)).read(backend, 'ipv4')
    const rules = [...table.values()].flatMap((chain) => chain.rules)
    const found = rules.filter(({ text }) => text.includes(`"${comment}"`))
    if (found.length === 0) throw new Error(`no rule is called ${comment}`)
    return found.reduce((sum, { counters }) => sum + Number(/^\[(\d+):/.exec(counters)?.[1]), 0)
  }

  const blocked = rulesetOf({
    sets: { bad: { file: 'bad.txt' } },
    rules: [{ name: 'bad', action: 'drop', from: ['bad'], ...ssh }],
  })
  const strangers = Array.from({ length: 30 }, (_, index) => `192.0.2.${index * 2}`)
  const internet = [clientAddress.internet.ipv4, clientAddress.internet.ipv6]

  test('a data file of the ConfigMap, and its changes', async () => {
    const running = await start({ 'rules.yaml': blocked, 'bad.txt': strangers.join('\n') })
    expect(await probe(22)).toEqual(['accepted', 'accepted'])
    await mount?.write({ 'rules.yaml': blocked, 'bad.txt': [...strangers, ...internet].join('\r\n') })
    await running.next(({ msg }) => msg === 'rules written')
    await expect.poll(async () => probe(22)).toEqual(['silence', 'silence'])
    expect(await probe(22, 'private')).toEqual(['accepted', 'accepted'])
  })

  test('a data file with an error changes nothing that is in force', async () => {
    const running = await start({ 'rules.yaml': blocked, 'bad.txt': internet.join('\n') })
    expect(await probe(22)).toEqual(['silence', 'silence'])
    await mount?.write({ 'rules.yaml': blocked, 'bad.txt': '# a list\n203.0.113.999\n' })
    const { problems } = await running.next(({ state }) => state === 'Invalid')
    expect(problems).toEqual([expect.stringMatching(/bad\.txt:2:1: found "203\.0\.113\.999"/)])
    expect(await probe(22)).toEqual(['silence', 'silence'])
  })

  test('a default route that moves takes the rules with it, at once', async () => {
    const running = await start({ 'rules.yaml': rulesetOf({ defaults: { ingress: 'reject' } }) })
    const external = async () =>
      (JSON.parse((await running.status())['node-firewall.io/status'] ?? '') as { interfaces: object })
        .interfaces
    expect(await external()).toEqual({ external: ['eth0'] })
    await sandbox.node.exec('ip', 'link add wan type veth peer name peer'.split(' '))
    await sandbox.node.exec('ip', 'link set wan up'.split(' '))
    await sandbox.node.exec('ip', 'route add default dev wan metric 50'.split(' '))
    await running.next(({ msg }) => msg === 'rules written')
    await expect.poll(external).toEqual({ external: ['eth0', 'wan'] })
  })

  test('a connection that new rules deny dies, and its neighbour lives', async () => {
    const running = await start({ 'rules.yaml': rulesetOf({}) })
    const victims = await Promise.all(
      families.map(async (family) => sandbox.internet.stream(nodeAddress[family], 7, 'echo')),
    )
    const neighbours = await Promise.all(
      families.map(async (family) => sandbox.private.stream(nodeAddress[family], 7, 'echo')),
    )
    await expect.poll(async () => sandbox.node.received(7)).toBeGreaterThan(100)
    const rules = [{ name: 'echo', action: 'drop', protocol: 'udp', ports: [7], from: internet }]
    await mount?.write({ 'rules.yaml': rulesetOf({ rules }) })
    const cut = await running.next(({ msg }) => msg === 'standing connections that are denied now were cut')
    expect(cut).toMatchObject({ cut: 2, failed: 0 })
    const before = await sandbox.node.received(7)
    await expect.poll(async () => sandbox.node.received(7)).toBeGreaterThan(before + 100)
    for (const victim of victims) expect((await victim.stop()).lost).toBeGreaterThan(0)
    for (const neighbour of neighbours) expect((await neighbour.stop()).lost).toBe(0)
    const connections = async () => {
      const details = JSON.parse((await running.status())['node-firewall.io/status'] ?? '') as {
        connections?: object
      }
      return details.connections
    }
    // The pass after the cut writes it.
    await expect.poll(connections, { timeout: 45_000 }).toMatchObject({ cut: 2, failed: 0, notes: [] })
  })

  test('a rule that expires is gone then', async () => {
    const expiresAt = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3000).toISOString().replace('.000', '')
    const closed = { defaults: { ingress: 'reject' } }
    const rules = [{ name: 'for a while', action: 'accept', expiresAt, ...ssh }]
    await start({ 'rules.yaml': rulesetOf({ ...closed, rules }) })
    expect(await probe(22)).toEqual(['accepted', 'accepted'])
    await expect
      .poll(async () => probe(22), { timeout: 45_000, interval: 300 })
      .toEqual(['refused', 'refused'])
  })

  test('a ruleset in audit mode denies nothing, and counts what it would', async () => {
    const audited = rulesetOf({
      mode: 'audit',
      defaults: { ingress: 'reject' },
      rules: [{ name: 'ssh', action: 'accept', from: ['private'], ...ssh }],
    })
    const running = await start({ 'rules.yaml': audited })
    expect(await running.status()).toMatchObject({ 'node-firewall.io/state': 'Auditing' })
    expect(await probe(22)).toEqual(['accepted', 'accepted'])
    expect(await probe(22, 'private')).toEqual(['accepted', 'accepted'])
    expect(await packetsOf('default ingress audited')).toBe(1)
  })

  test('a rule in audit counts, and the next rule decides', async () => {
    const rules = [
      { name: 'would be closed', action: 'drop', audit: true, ...ssh },
      { name: 'is closed', action: 'reject', from: ['private'], ...ssh },
    ]
    await start({ 'rules.yaml': rulesetOf({ rules }) })
    expect(await probe(22)).toEqual(['accepted', 'accepted'])
    expect(await packetsOf('test/would be closed audited')).toBe(1)
    expect(await probe(22, 'private')).toEqual(['refused', 'refused'])
    expect(await packetsOf('test/would be closed audited')).toBe(2)
  })

  test('a limit on drop denies what exceeds it, and leaves the rest to the next rule', async () => {
    const limit = { rate: '2/hour', burst: 2, per: 'source' }
    const rules = [
      { name: 'few', action: 'drop', limit, ...ssh },
      { name: 'not from private', action: 'reject', from: ['private'], ...ssh },
    ]
    await start({ 'rules.yaml': rulesetOf({ rules }) })
    const outcomes = []
    for (let count = 0; count < 3; count += 1) outcomes.push(...(await probe(22)))
    expect(outcomes).toEqual(['accepted', 'accepted', 'accepted', 'accepted', 'silence', 'silence'])
    expect(await probe(22, 'private')).toEqual(['refused', 'refused'])
  })
})
