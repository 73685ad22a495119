import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTables, rulesetOf } from '../kernel/enforce.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { checkAnnotations } from '../status/check-annotations.ts'
import { kubeconfig } from './api-server/credentials.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'

const external = { interfaces: { external: ['eth0'] } }
const web = rulesetOf({
  ...external,
  nodeSelector: { matchLabels: { pool: 'web' } },
  defaults: { ingress: 'drop' },
})
const everywhere = rulesetOf({ ...external, defaults: { ingress: 'reject' } })

describe('the agent in a cluster', () => {
  let host: Host
  let server: ApiServer
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess | undefined
  let stateDir: string

  beforeEach(async () => {
    host = await startHost()
    server = await startApiServer({ node: 'test-node' })
    const addresses = ['192.0.2.1']
    const slice = { addressType: 'IPv4' as const, addresses, port: 443 }
    server.slices.put({ ...slice, namespace: 'default', name: 'kubernetes', service: 'kubernetes' })
    server.slices.put({ ...slice, namespace: 'node-firewall', name: 'agents', service: 'node-firewall' })
    server.createNode('test-node', { pool: 'web' }, { 'example.org/owner': 'infra' })
    mount = await createMount({ 'worker.yaml': web })
    stateDir = await mkdtemp(join(tmpdir(), 'node-firewall-state-'))
  })
  afterEach(async () => {
    await agent?.stop()
    await mount.remove()
    await rm(stateDir, { recursive: true })
    await server.close()
    await host.close()
  })

  async function start(...args: string[]): Promise<AgentProcess> {
    const { kubeconfigFile } = server
    agent = await startAgent(host, { rules: mount.folder, args, kubeconfig: kubeconfigFile, stateDir })
    return agent
  }

  function annotations(): Record<string, string> {
    const { metadata } = server.getNode('test-node') as { metadata: { annotations?: Record<string, string> } }
    return metadata.annotations ?? {}
  }
  const state = () => annotations()['node-firewall.io/state']
  const writes = () => server.requests.filter(({ verb }) => verb === 'patch').length

  async function chain(): Promise<string[] | undefined> {
    const table = await (await openTables(host)).read('nft', 'ipv4')
    return table.get('node-firewall')?.rules.map(({ text }) => text)
  }

  test('chooses rulesets by the labels of its Node, and reports on it', async () => {
    const { pid } = await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    expect(pid).toBeGreaterThan(0)
    const found = annotations()
    expect(Object.keys(found).toSorted()).toEqual([
      'example.org/owner',
      'node-firewall.io/applied-at',
      'node-firewall.io/message',
      'node-firewall.io/ruleset',
      'node-firewall.io/state',
      'node-firewall.io/status',
      'node-firewall.io/verified-at',
    ])
    expect(await chain()).toContain(`-m comment --comment "ruleset ${found['node-firewall.io/ruleset']}"`)
    expect(JSON.parse(found['node-firewall.io/status'] ?? '')).toMatchObject({
      backend: 'nft',
      families: { ipv4: { inForce: 'yes', position: 'first' }, ipv6: { inForce: 'yes', position: 'first' } },
      drift: { count: 0 },
    })
  })

  test('the commands for people find it to have in force what the files say', async () => {
    await start()
    const person = server.createToken({
      user: 'person',
      rules: [{ verbs: ['list', 'watch'], resources: ['nodes'] }],
    })
    const env = { KUBECONFIG: join(stateDir, 'kubeconfig') }
    await writeFile(env.KUBECONFIG, kubeconfig(server.url, server.caFile, person))
    const run = async (...args: string[]) =>
      execa(process.execPath, ['agent/main.ts', ...args], { env, reject: false })
    const waited = await run('wait', '--ruleset', mount.folder, '--timeout', '40s')
    expect([waited.exitCode, waited.stderr]).toEqual([
      0,
      expect.stringMatching(/^1 of 1 nodes have them in force$/m),
    ])
    const table = await run('status')
    expect([table.exitCode, table.stdout]).toEqual([0, expect.stringMatching(/^test-node +Enforcing /m)])
    const details = await run('status', 'test-node', '--json')
    expect(JSON.parse(details.stdout)).toMatchObject({ severity: 0, status: { unreadable: [] } })
    checkAnnotations(annotations())
  })

  test('follows the labels of its Node', async () => {
    await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    server.changeNode('test-node', { labels: { pool: 'db' } })
    await expect.poll(state, { timeout: 30_000 }).toBe('Off')
    expect(await chain()).toBeUndefined()
    server.changeNode('test-node', { labels: { pool: 'web' } })
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
  })

  test('reports errors of a ruleset with file and line, and what stays in force', async () => {
    await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    const before = annotations()
    await mount.write({ 'worker.yaml': web.replace('drop', 'deny') })
    await expect.poll(state, { timeout: 30_000 }).toBe('Invalid')
    expect(annotations()['node-firewall.io/message']).toMatch(
      /worker\.yaml:1:\d+: spec\.defaults\.ingress: found "deny", expected accept, drop or reject; in force: .* of before/,
    )
    expect(annotations()['node-firewall.io/ruleset']).toBe(before['node-firewall.io/ruleset'])
  })

  test('without the API server: rules for every node are enforced at once, others wait for the labels', async () => {
    server.faults.refuseConnections()
    const { next } = await start()
    const waiting = await next((line) => line['state'] === 'Degraded')
    expect(waiting.msg).toContain('the labels of this node are not known')
    expect(await chain()).toBeUndefined()
    await mount.write({ 'worker.yaml': everywhere })
    await next((line) => line['state'] === 'Enforcing')
    await server.faults.acceptConnections()
    await expect.poll(state, { timeout: 45_000 }).toBe('Enforcing')
  })

  test('takes the startup taint from its Node, and again from one that takes its place', async () => {
    const spec = { taints: [{ key: 'node-firewall.io/not-ready', effect: 'NoSchedule' }] }
    const taints = () => (server.getNode('test-node') as { spec?: { taints?: unknown[] } }).spec?.taints ?? []
    const join = () => server.createNode('test-node', { pool: 'web' }, {}, spec)
    server.deleteNode('test-node')
    join()
    await start('--startup-taint')
    await expect.poll(taints, { timeout: 30_000 }).toEqual([])
    // As when its kubelet is started again after somebody has deleted the Node: pods go on meanwhile.
    server.deleteNode('test-node')
    join()
    await expect.poll(taints, { timeout: 45_000 }).toEqual([])
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
  })

  test('puts its annotations back when somebody removes or changes them', async () => {
    await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    server.changeNode('test-node', {
      annotations: { 'node-firewall.io/state': 'Off', 'node-firewall.io/message': null },
    })
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    expect(annotations()['node-firewall.io/message']).toContain('verified')
    expect(annotations()['example.org/owner']).toBe('infra')
  })

  test('writes nothing to the Node when it starts again and nothing has changed', async () => {
    const first = await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    await first.stop()
    const before = writes()
    const second = await start('--verify-schedule', '* * * * * *')
    for (let passes = 0; passes < 2; passes += 1) {
      await second.next(({ reasons }) => String(reasons).includes('verify'))
    }
    await second.stop()
    // The first pass has verified anew, and says so once: nothing else.
    expect(writes() - before).toBeLessThanOrEqual(1)
  })

  test('an API server that answers with errors is tried again, and the rules stay', async () => {
    server.faults.answerNext(3, { status: 500 })
    await start()
    await expect.poll(state, { timeout: 30_000 }).toBe('Enforcing')
    expect(await chain()).toBeDefined()
  })
})
