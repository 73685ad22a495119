import { expect, onTestFinished, test, vi } from 'vitest'
import type { StatusDetails } from '../../agent/status/status.ts'
import { addNat } from '../conntrack/firewall.ts'
import { addresses, createLab } from '../conntrack/lab.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { rulesetOf } from './enforce.ts'

const eth0 = { interfaces: { external: ['eth0'] } }
const open = rulesetOf({ ...eth0, rules: [{ name: 'x', action: 'drop', protocol: 'tcp', ports: [1] }] })
const closed = rulesetOf({ ...eth0, defaults: { ingress: 'drop', podIngress: 'drop' } })

test.runIf((await usableBackends()).includes('nft'))(
  'an agent without privileges closes sockets of the node, and says of those of pods that it cannot',
  async ({ signal }) => {
    const lab = await createLab()
    onTestFinished(async () => lab.close())
    const mount = await createMount({ 'worker.yaml': open })
    onTestFinished(mount.remove)
    const { outside, node, pod } = addresses.ipv4
    await addNat(lab.node.exec, 'ipv4', [8080])
    const tcp = { protocol: 'tcp' } as const
    await lab.node.tell({ kind: 'serve', ...tcp, address: node[0], port: 22, chatty: false })
    await lab.pod.tell({ kind: 'serve', ...tcp, address: pod[0], port: 8080, chatty: false })
    await lab.pod.tell({ kind: 'serve', ...tcp, address: pod[0], port: 9090, chatty: true })

    const agent = await startAgent(lab.node, {
      rules: mount.folder,
      confined: true,
      args: ['--backend', 'nft'],
    })
    onTestFinished(async () => void (await agent.stop()))
    await agent.next(({ state }) => state === 'Enforcing')
    const dials = {
      node: { ...tcp, source: outside[0], address: node[0], port: 22 },
      'node port': { ...tcp, source: outside[0], address: node[0], port: 30_080 },
      pod: { ...tcp, source: outside[0], address: pod[0], port: 9090 },
    }
    const messages = async (name: string) => (await lab.outside.tell({ kind: 'seen', name }))?.messages ?? 0
    const say = async (name: string) => lab.outside.tell({ kind: 'say', name })
    const hear = async (name: string, count: number) => {
      for (const goal = (await messages(name)) + count; (await messages(name)) < goal; await say(name)) {
        signal.throwIfAborted()
      }
    }
    for (const [name, dial] of Object.entries(dials)) {
      await lab.outside.tell({ kind: 'open', name, dial })
      await hear(name, 1)
    }

    await mount.write({ 'worker.yaml': closed })
    const line = await agent.next(({ msg }) => msg.startsWith('standing connections that are denied now'))
    const notes = ['1 TCP connections go on: none of their sockets could be closed on this node']
    expect(line).toMatchObject({ cut: 2, failed: 1, notes })
    const inStatus = async () => {
      const { 'node-firewall.io/status': details = '' } = await agent.status()
      expect((JSON.parse(details) as StatusDetails).connections).toMatchObject({ cut: 2, failed: 1, notes })
    }
    await vi.waitFor(inStatus, { timeout: 30_000 })

    expect(await lab.outside.tell({ kind: 'seen', name: 'node' })).toMatchObject({ ended: 'ECONNRESET' })
    const last = await messages('node port')
    for (let times = 0; times < 10; times += 1) await say('node port')
    await hear('pod', 40)
    expect(await messages('node port')).toBe(last)
  },
)
