import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startApiServer } from '../cluster/api-server.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { putOneNodeCluster } from '../cluster/one-node-cluster.ts'
import { startKubelet } from '../cluster/virtual-kubelet.ts'
import type { VirtualKubelet } from '../cluster/virtual-kubelet.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { dump, rulesIn } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { longRows } from './long-rows.ts'

const dayMs = 24 * 3_600_000
const jumps = [
  ['forward', dayMs],
  ['back', -dayMs],
] as const
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().replace(/\.\d+/, '')

const closed = { interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } }
const open = (port: number, more = {}) => ({
  rules: [{ name: 'a', action: 'accept', protocol: 'tcp', ports: [port], ...more }],
})
const verified = (line: LogLine) => String(line['reasons']).includes('verify')

/** Longer than the rest of a test takes: within it what is promised has to happen. */
const deadline = { timeout: 45_000 }

describe.runIf((await usableBackends()).includes('nft'))('the clock of the machine', () => {
  let host: Host
  let server: ApiServer
  let mount: Awaited<ReturnType<typeof createMount>>
  let folder: string
  let kubelet: VirtualKubelet
  let agent: AgentProcess | undefined

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-clock-'))
    host = await startHost()
    server = await startApiServer({ node: 'test-node' })
    putOneNodeCluster(server, 'test-node')
    kubelet = startKubelet(server, 'test-node')
    await setClock(0)
    mount = await createMount({ 'worker.yaml': rulesetOf({ ...closed, ...open(1) }) })
  })
  afterEach(async () => {
    kubelet.pause()
    await agent?.kill()
    await server.close()
    await host.close()
    await Promise.all([mount.remove(), rm(folder, { recursive: true })])
  })

  /** Of the agent and the kubelet, which share it. */
  const setClock = async (ms: number) => {
    kubelet.setClock(ms)
    await writeFile(join(folder, 'offset'), String(ms))
  }

  async function start(...args: string[]): Promise<AgentProcess> {
    const { kubeconfigFile: kubeconfig } = server
    agent = await startAgent(host, {
      rules: mount.folder,
      kubeconfig,
      env: {
        NODE_OPTIONS: `--import=${join(import.meta.dirname, '..', 'sandbox', 'shifted-clock.ts')}`,
        SHIFTED_CLOCK: join(folder, 'offset'),
      },
      args: [
        '--backend',
        'nft',
        '--reapply-schedule',
        '0 0 1 1 *',
        '--verify-schedule',
        '* * * * * *',
        ...args,
      ],
    })
    await agent.next(({ msg }) => msg === 'the change is confirmed')
    return agent
  }

  /** Edits the rules; resolves when they are in force, and are being tried. */
  async function tryOut(running: AgentProcess, port: number): Promise<void> {
    await mount.write({ 'worker.yaml': rulesetOf({ ...closed, ...open(port) }) })
    await running.next(({ msg }) => msg === 'rules written')
    await running.next(({ state }) => state === 'Confirming')
  }

  test.each(jumps)(
    'set a day %s: passes go on, once a second and not more; the rules stay; an edit is confirmed, and reported',
    async (_, jump) => {
      const running = await start()
      const rules = await dump(host)
      await setClock(jump)
      const [jumpedAt, before] = [performance.now(), running.log.filter(verified).length]
      for (let passes = 0; passes < 3; passes += 1)
        expect((await running.next(verified))['state']).toBe('Enforcing')
      const seconds = (performance.now() - jumpedAt) / 1000
      // The times of the day between are not made up for.
      expect(running.log.filter(verified).length - before).toBeLessThanOrEqual(seconds + 2)
      expect(await dump(host)).toBe(rules)

      await mount.write({ 'worker.yaml': rulesetOf({ ...closed, ...open(2) }) })
      await running.next(({ msg }) => msg === 'the change is confirmed')
      expect(await dump(host)).toContain('--dport 2 ')
      const appliedAt = () =>
        Date.parse(server.getNode('test-node').metadata.annotations?.['node-firewall.io/applied-at'] ?? '')
      await expect.poll(() => Math.abs(appliedAt() - Date.now() - jump), deadline).toBeLessThan(60_000)
    },
  )

  test.each(longRows('a clock that is set while a bad change is tried', jumps, ([way]) => way === 'back'))(
    'set a day %s while a change is tried: what breaks a probe is rolled back at its deadline, not before, not later',
    async (_, jump) => {
      const running = await start('--confirm-deadline', '4')
      const rules = rulesIn(await dump(host))
      kubelet.pause()
      await tryOut(running, 2)
      await setClock(jump)
      await running.next((line) => verified(line) && line['state'] === 'Confirming')
      const line = await running.next(({ state }) => state === 'RolledBack')
      expect(line.msg).toContain('lease failed: ')
      expect(rulesIn(await dump(host))).toBe(rules)
    },
  )

  const tried = longRows(
    'a clock that is set while a good change is tried',
    jumps,
    ([way]) => way === 'forward',
  )
  test.each(tried)('set a day %s while a change is tried: what works is confirmed', async (_, jump) => {
    const running = await start()
    kubelet.pause()
    await tryOut(running, 2)
    await setClock(jump)
    kubelet.goOn()
    await running.next(({ msg }) => msg === 'the change is confirmed')
    expect(await dump(host)).toContain('--dport 2 ')
  })

  test('set a day forward a rule expires, and is there again when the clock is set right', async () => {
    await mount.write({ 'worker.yaml': rulesetOf({ ...closed, ...open(7, { expiresAt: inHours(12) }) }) })
    const running = await start()
    const rules = rulesIn(await dump(host))
    expect(rules).toContain('--dport 7 ')
    const begun = running.log.length
    await setClock(dayMs)
    await expect.poll(async () => dump(host), deadline).not.toContain('--dport 7 ')
    await setClock(0)
    await expect.poll(async () => rulesIn(await dump(host)), deadline).toBe(rules)
    // It follows from the clock, and is no change that anybody had to confirm.
    expect(running.log.slice(begun).filter(({ state }) => state === 'Confirming')).toEqual([])
  })

  test('set a day back an agent that starts finds its Lease in the future and the verified-at of tomorrow: neither stops it', async () => {
    const first = await start()
    const annotation = (name: string) =>
      server.getNode('test-node').metadata.annotations?.[`node-firewall.io/${name}`]
    await expect.poll(() => annotation('state'), deadline).toBe('Enforcing')
    await first.stop()
    await setClock(-dayMs)
    await start()
    const verifiedAt = () => Date.parse(annotation('verified-at') ?? '')
    await expect.poll(verifiedAt, deadline).toBeLessThan(Date.now() - dayMs / 2)
  })
})
