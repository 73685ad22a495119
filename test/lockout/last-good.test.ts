import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import { standingRules } from './standing-rules.ts'
import { openTrialNode, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const closed = { defaults: { ingress: 'reject' } }

describe.each(await usableBackends())('an agent that finds no rulesets, on iptables-%s', (backend) => {
  let node: TrialNode
  let agent: AgentProcess
  /** What stood when the rules were confirmed. */
  let confirmed: string

  beforeAll(async () => {
    node = await openTrialNode({ backend })
    await node.sandbox.node.listen('tcp', 80)
    await node.write(closed)
    agent = await node.start()
    await untilConfirmed(agent)
    await agent.stop()
    confirmed = await standingRules(node.sandbox.node, backend)
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(agent.log)))
  afterAll(async () => node.close())

  const visit = async () =>
    node.sandbox.stranger.probe({ protocol: 'tcp', address: controlPlaneAddress.node.ipv6, port: 80 })

  /** Takes our rules and sets from the kernel, as a restart of the machine does. */
  async function restartMachine(): Promise<void> {
    for (const family of families) {
      const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`
      const { stdout } = await node.sandbox.node.exec(`${program}-save`, ['-t', 'filter'])
      const ours = stdout.split('\n').filter((line) => line.includes('node-firewall'))
      const jumps = ours.filter((line) => line.startsWith('-A ') && !line.startsWith('-A node-firewall'))
      const chains = ours.flatMap((line) => /^:(node-firewall\S*)/.exec(line)?.[1] ?? [])
      const input = [
        '*filter',
        ...jumps.map((line) => line.replace('-A', '-D')),
        ...chains.map((chain) => `-F ${chain}`),
        ...chains.map((chain) => `-X ${chain}`),
        'COMMIT',
        '',
      ]
      await node.sandbox.node.exec(`${program}-restore`, ['--noflush', '--wait'], { input: input.join('\n') })
    }
    await node.sandbox.node.exec('ipset', ['destroy'])
  }

  test.each([
    ['missing', undefined],
    ['empty', {}],
    ['full of errors', { 'rules.yaml': 'kind: Ruleset\nspec: [' }],
  ] as const)(
    'as their folder is %s: what was confirmed last comes back after a restart',
    async (_, files) => {
      const folder = files === undefined ? '/nonexistent/rules' : await folderWith(files)
      await restartMachine()
      expect(await visit()).toBe('accepted')
      agent = await node.start('--rules', folder)
      const { state } = await agent.next((line) => line['state'] !== undefined)
      expect(state).not.toBe('Enforcing')
      expect(await visit()).toBe('refused')
      await expect
        .poll(async () => standingRules(node.sandbox.node, backend), { timeout: 30_000 })
        .toBe(confirmed)
      await agent.stop()

      agent = await node.start('--rules', folder)
      await agent.next((line) => line['state'] !== undefined)
      expect(writesOf(agent)).toEqual([])
      expect(await standingRules(node.sandbox.node, backend)).toBe(confirmed)
      await agent.stop()
      if (files !== undefined) await rm(folder, { recursive: true })
    },
  )

  test.each([
    ['cut off', (content: Buffer) => content.subarray(0, content.length - 7)],
    ['of another content', (content: Buffer) => Buffer.concat([content.subarray(0, -1), Buffer.from('x')])],
    ['empty', () => Buffer.alloc(0)],
  ] as const)('as what was kept of them is %s: told of, and what is in force stays', async (_, damage) => {
    const file = join(node.stateDir, 'last-good')
    const whole = await readFile(file)
    await writeFile(file, damage(whole))
    const folder = await folderWith({})
    agent = await node.start('--rules', folder)
    await agent.next((line) => JSON.stringify(line['warnings'] ?? '').includes(`${file}: found `))
    expect(writesOf(agent)).toEqual([])
    expect(await standingRules(node.sandbox.node, backend)).toBe(confirmed)
    await agent.stop()
    await writeFile(file, whole)
    await rm(folder, { recursive: true })
  })

  test('and the same with an agent that knows nothing at all', async () => {
    const rules = await folderWith({})
    agent = await startAgent(node.sandbox.node, { rules, inNetwork: true, args: ['--backend', backend] })
    await agent.next((line) => line['state'] !== undefined)
    expect(await standingRules(node.sandbox.node, backend)).toBe(confirmed)
    await agent.stop()
    await rm(rules, { recursive: true })
  })
})

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-rules-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}
