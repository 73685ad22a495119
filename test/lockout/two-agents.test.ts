import { spawn } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { standingRules } from './standing-rules.ts'
import { inState, openTrialNode, passOnce, untilConfirmed, writesOf } from './trial-node.ts'
import type { TrialNode } from './trial-node.ts'

const patient = { timeout: 30_000 }
const closing = (port: number) => ({
  defaults: { ingress: 'reject' },
  rules: [{ name: 'closed', action: 'drop', protocol: 'tcp', ports: [port] }],
})

describe.each(await usableBackends())('two agents on one node, on iptables-%s', (backend) => {
  let node: TrialNode
  let agents: AgentProcess[] = []
  const start = async (...args: string[]) => {
    const agent = await node.start(...args)
    agents.push(agent)
    return agent
  }
  beforeAll(async () => {
    node = await openTrialNode({ backend })
    await node.write(closing(4_000))
  })
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => console.error(agents.map(({ log }) => log.slice(-10))))
  })
  afterAll(async () => node.close())

  /** What the agent on this port answers when it is asked whether it is ready. */
  async function readiness(port: number): Promise<string> {
    const ask = `fetch('http://127.0.0.1:${port}/readyz').then(async (r) => console.log(r.status, await r.text()))`
    const { stdout } = await node.sandbox.node.exec(process.execPath, ['-e', ask])
    return stdout
  }

  test('the second waits and says so, and takes over when the first ends, however it does', async () => {
    let first = await start('--health-address', '127.0.0.1:9001')
    await untilConfirmed(first)
    const before = await standingRules(node.sandbox.node, backend)
    const changes = followChanges(node.sandbox.node.pid)
    try {
      for (const [round, end] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
        const port = 9_002 + round
        const second = await start('--health-address', `127.0.0.1:${port}`)
        const waiting = await second.next(({ msg }) => msg.startsWith('waiting, '))
        const holder = `another agent is at work on this node: pod node-firewall-x2x4z, process ${first.pid}`
        expect(waiting.msg).toBe(`waiting, ${holder}`)
        expect(await readiness(port)).toBe(`503 ${holder}\n\n`)
        expect(await readiness(port - 1)).toBe('200 ok\n\n')
        await passOnce(first)
        expect(second.log.filter(({ state }) => state !== undefined)).toEqual([])

        await (end === 'SIGTERM' ? first.stop() : first.kill())
        expect(await second.next(({ state }) => state !== undefined)).toMatchObject({ state: 'Enforcing' })
        await passOnce(second)
        expect(await readiness(port)).toBe('200 ok\n\n')
        expect(writesOf(second)).toEqual([])
        expect((await second.status())['node-firewall.io/status']).toContain('"drift":{"count":0,')
        first = second
      }
      expect(await standingRules(node.sandbox.node, backend)).toBe(before)
      await node.write(closing(4_001))
      await untilConfirmed(first)
      // What it has written is the first change that was seen since.
      await expect.poll(() => changes.lines.join('\n'), patient).toContain(backend === 'nft' ? '4001' : '')
      const generations = changes.lines.filter((line) => line.startsWith('# new generation'))
      if (backend === 'nft') expect(generations.length).toBe(2)
      expect(writesOf(first)).toHaveLength(2)
    } finally {
      changes.stop()
    }
  })

  test('who waits lets go when told to', async () => {
    const waits = await start()
    await waits.next(({ msg }) => msg.startsWith('waiting, '))
    expect(await waits.stop()).toBe(0)
    expect(inState('Enforcing')(await passOnce(agents.at(-2) as AgentProcess))).toBe(true)
  })
})

/** What the kernel tells of changes to nftables in the namespace of a process. */
function followChanges(pid: number): { readonly lines: readonly string[]; stop(): void } {
  const lines: string[] = []
  const monitor = spawn('nsenter', ['--target', String(pid), '--net', '--', 'nft', 'monitor'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  monitor.stdout
    .setEncoding('utf8')
    .on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)))
  return { lines, stop: () => void monitor.kill() }
}
