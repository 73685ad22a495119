import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { rulesetOf } from '../kernel/enforce.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'
import { agents, apiServers } from './facts-fixture.ts'

/*
 * The agent fills the sets of the cluster with what the API server says, and keeps what it read last.
 */
let stateDir: string
let host: Host
let server: ApiServer
let closed: boolean
let mount: Awaited<ReturnType<typeof createMount>>
const running: AgentProcess[] = []

const etcd = rulesetOf({
  interfaces: { external: ['eth0'] },
  rules: [
    { name: 'etcd', action: 'accept', protocol: 'tcp', ports: ['2379-2380'], from: ['apiServers', 'nodes'] },
    { name: 'nobody else', action: 'reject', protocol: 'tcp', ports: ['2379-2380'] },
  ],
})
const closed22 = rulesetOf({
  interfaces: { external: ['eth0'] },
  rules: [{ name: 'ssh', action: 'reject', protocol: 'tcp', ports: [22] }],
})
const closedAll = rulesetOf({ interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } })

beforeEach(async () => {
  host = await startHost()
  closed = false
  server = await startApiServer({ node: 'test-node' })
  server.createNode('test-node', {}, {}, { podCIDRs: ['10.244.1.0/24'] })
  server.slices.put(agents('ipv4', ['192.0.2.12', '192.0.2.11']))
  server.slices.put(agents('ipv6', ['2001:db8::11'], { addressType: 'IPv6' }))
  server.slices.put(apiServers(['192.0.2.1']))
  mount = await createMount({ 'etcd.yaml': etcd })
  stateDir = await mkdtemp(join(tmpdir(), 'node-firewall-state-'))
})
afterEach(async () => {
  for (const agent of running.splice(0)) await agent.stop()
  await mount.remove()
  await rm(stateDir, { recursive: true, force: true })
  if (!closed) await server.close()
  await host.close()
})

async function start(): Promise<AgentProcess> {
  const agent = await startAgent(host, { rules: mount.folder, kubeconfig: server.kubeconfigFile, stateDir })
  running.push(agent)
  return agent
}

/** What the kernel's set holds; nothing if there is none. */
async function members(set: string): Promise<string[] | undefined> {
  const { stdout } = await host.exec('ipset', ['save'])
  const lines = stdout.split('\n').filter((line) => line.includes(` node-firewall${set}`))
  if (lines.length === 0) return undefined
  return lines.flatMap((line) => /^add \S+ (\S+)/.exec(line)?.[1] ?? []).toSorted()
}

/** The first time that the agent knows all of the cluster, and has said so on its Node. */
async function settled(): Promise<void> {
  await expect.poll(async () => members('4-nodes'), { timeout: 45_000 }).toEqual(['192.0.2.11', '192.0.2.12'])
  await expect.poll(async () => members('4-apiServers'), { timeout: 45_000 }).toEqual(['192.0.2.1'])
  await expect
    .poll(() => JSON.stringify(server.getNode('test-node')), { timeout: 45_000 })
    .toContain('Enforcing')
  await expect
    .poll(() => JSON.stringify(server.getNode('test-node')), { timeout: 45_000 })
    .not.toContain('could not be read')
}

const patches = () => server.requests.filter(({ verb }) => verb === 'patch').length

test('the sets hold what the cluster says, in each family', async () => {
  await start()
  await settled()
  expect(await members('6-nodes')).toEqual(['2001:db8::11'])
  expect(await members('6-apiServers')).toEqual([])
})

test('a change is in the kernel at once, with no commit of rules and no word to the Node', async () => {
  const agent = await start()
  await settled()
  const written = agent.log.filter(({ msg }) => msg === 'rules written').length
  const before = patches()
  server.slices.put(apiServers(['192.0.2.1', '192.0.2.2']))
  await expect
    .poll(async () => members('4-apiServers'), { timeout: 45_000 })
    .toEqual(['192.0.2.1', '192.0.2.2'])
  agent.signal('SIGHUP')
  await agent.next(({ reasons }) => Array.isArray(reasons) && reasons.includes('signal'))
  expect(agent.log.filter(({ msg }) => msg === 'rules written')).toHaveLength(written)
  expect(patches()).toBe(before)
})

test('without the API server an agent that starts leaves the sets as they are', async () => {
  const first = await start()
  await settled()
  await first.stop()
  running.length = 0
  await server.close()
  closed = true
  const second = await start()
  const line = await second.next(({ state }) => state !== undefined)
  expect(line).toMatchObject({ state: 'Enforcing' })
  expect(line['warnings']).toContain(
    'the set apiServers could not be read yet: rules that name it match whom it held before, or nobody',
  )
  expect(await members('4-apiServers')).toEqual(['192.0.2.1'])
  expect(await members('4-nodes')).toEqual(['192.0.2.11', '192.0.2.12'])
})

test('somebody who empties a set is noticed by the next look, and the set is filled again', async () => {
  const agent = await start()
  await settled()
  const drift = () => agent.log.find(({ kind }) => kind !== undefined)
  // A pass that has just learnt of the cluster fills the set too, and calls it no drift.
  while (drift() === undefined) {
    await host.exec('ipset', ['flush', 'node-firewall4-apiServers'])
    agent.signal('SIGHUP')
    await expect.poll(async () => members('4-apiServers'), { timeout: 30_000 }).toEqual(['192.0.2.1'])
  }
  expect(drift()).toMatchObject({ kind: 'set-changed', healed: true, family: 'ipv4' })
})

test('rules that close some ports cost the API server nothing for the cluster, and leave no set', async () => {
  const agent = await start()
  await settled()
  await agent.stop()
  running.length = 0
  await mount.write({ 'etcd.yaml': closed22 })
  // Else it would first go back to what was confirmed last.
  await rm(stateDir, { recursive: true })
  const before = server.requests.length
  const other = await start()
  await other.next(({ state }) => state === 'Enforcing')
  await expect.poll(patches, { timeout: 45_000 }).toBeGreaterThan(0)
  const later = server.requests.slice(before).map(({ path }) => path)
  expect(later.filter((path) => path.includes('endpointslices'))).toEqual([])
  await expect.poll(async () => members(''), { timeout: 45_000 }).toBeUndefined()
})

test('an agent that starts again on a closed node changes no rule before it knows the cluster, nor after', async () => {
  await mount.write({ 'etcd.yaml': closedAll })
  const first = await start()
  await settled()
  await first.stop()
  running.length = 0
  const written = patches()
  const second = await start()
  await second.next(({ state }) => state === 'Enforcing')
  await second.next(({ reasons }) => String(reasons).includes('cluster'))
  expect(second.log.filter(({ msg }) => msg === 'rules written')).toEqual([])
  expect(patches() - written).toBeLessThanOrEqual(1)
  expect(await members('4-nodes')).toEqual(['192.0.2.11', '192.0.2.12'])
})
