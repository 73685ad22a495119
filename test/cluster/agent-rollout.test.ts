import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openTables, rulesetOf } from '../kernel/enforce.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { clientAddress, createSandbox } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { agentOn } from './api-server/agent-identity.ts'
import { kubeconfig } from './api-server/credentials.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'

const names = ['node-a', 'node-b', 'node-c']
const spec = {
  interfaces: { external: ['eth0'] },
  rollout: { canaries: 1, then: '50%', pause: '0s' },
  probes: [{ name: 'internet', icmp: clientAddress.internet.ipv4, timeout: '500ms' }],
}
const open = rulesetOf({ ...spec, defaults: { ingress: 'accept' } })
const closed = rulesetOf({ ...spec, defaults: { ingress: 'reject' } })
const bad = rulesetOf({
  ...spec,
  rules: [{ name: 'no ping', direction: 'egress', action: 'drop', protocol: 'icmp' }],
})

type Member = {
  readonly name: string
  readonly sandbox: Sandbox
  readonly agent: AgentProcess
  /** Hashes of all rulesets that were ever written to the kernel of this node. */
  readonly written: () => unknown[]
}

let server: ApiServer
let mount: Awaited<ReturnType<typeof createMount>>
let folder: string
let members: Member[]

beforeEach(async () => {
  members = []
  server = await startApiServer()
  const nodes = names.map((name) => ({ name, ready: true }))
  const addresses = names.map((_, index) => `192.0.2.${index + 1}`)
  const slice = { addressType: 'IPv4' as const, addresses, port: 443 }
  server.slices.put({ ...slice, namespace: 'default', name: 'kubernetes', service: 'kubernetes' })
  server.slices.put({
    ...slice,
    namespace: 'node-firewall',
    name: 'agents',
    service: 'node-firewall',
    nodes,
  })
  mount = await createMount({ 'worker.yaml': open })
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-fleet-'))
  members = await Promise.all(names.map(startMember))
})
afterEach(async () => {
  await Promise.all(
    members.map(async ({ agent, sandbox }) => {
      await agent.stop()
      await sandbox.close()
    }),
  )
  await mount.remove()
  await rm(folder, { recursive: true })
  await server.close()
})

async function startMember(name: string): Promise<Member> {
  server.createNode(name)
  const file = join(folder, `${name}.kubeconfig`)
  await writeFile(file, kubeconfig(server.url, server.caFile, server.createToken(agentOn(name))))
  const sandbox = await createSandbox()
  const agent = await startAgent(sandbox.node, {
    rules: mount.folder,
    kubeconfig: file,
    args: ['--node', name, '--confirm-deadline', '2', '--backend', 'nft'],
    stateDir: join(folder, name),
  })
  const written = () => agent.log.filter(({ msg }) => msg === 'rules written').map(({ ruleset }) => ruleset)
  return { name, sandbox, agent, written }
}

function annotation(name: string, key: string): string | undefined {
  const { metadata } = server.getNode(name) as { metadata: { annotations?: Record<string, string> } }
  return metadata.annotations?.[`node-firewall.io/${key}`]
}
const states = () => names.map((name) => annotation(name, 'state'))
async function allIn(state: string): Promise<void> {
  await expect.poll(states, { timeout: 300_000, interval: 200 }).toEqual(names.map(() => state))
}

async function hasChain({ sandbox }: Member, line: string): Promise<boolean> {
  const table = await (await openTables(sandbox.node)).read('nft', 'ipv4')
  return [...table.values()].some(({ rules }) => rules.some(({ text }) => text.includes(line)))
}

const isLong = process.env['ROLLOUT'] !== undefined
if (!isLong) console.warn('SKIPPED: a rollout over three nodes takes minutes; "npm run test:long" has it')

test.runIf(isLong)(
  'a good change reaches every node, a bad one no more than the canary, and each node says so',
  async () => {
    await allIn('Enforcing')
    await mount.write({ 'worker.yaml': closed })
    const isClosed = async () => Promise.all(members.map(async (member) => hasChain(member, '-j REJECT')))
    await expect.poll(isClosed, { timeout: 300_000, interval: 200 }).toEqual([true, true, true])
    await allIn('Enforcing')
    const before = members.map(({ written }) => new Set(written()).size)

    await mount.write({ 'worker.yaml': bad })
    await expect
      .poll(
        () =>
          states()
            .map(String)
            .toSorted((a, b) => a.localeCompare(b)),
        { timeout: 300_000, interval: 200 },
      )
      .toEqual(['RolledBack', 'Waiting', 'Waiting'])
    const tried = members.filter(({ written }, index) => new Set(written()).size > (before[index] ?? 0))
    expect(tried.map(({ name }) => annotation(name, 'state'))).toEqual(['RolledBack'])
    const [canary] = tried
    const others = names.filter((name) => name !== canary?.name)
    const isTold = () =>
      others.every((name) => annotation(name, 'message')?.includes(canary?.name ?? 'no canary') === true)
    await expect.poll(isTold, { timeout: 300_000, interval: 200 }).toBe(true)
    expect(await isClosed()).toEqual([true, true, true])

    await mount.write({ 'worker.yaml': open })
    await allIn('Enforcing')
  },
  900_000,
)
