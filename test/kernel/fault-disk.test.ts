import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, AgentSetting, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clientAddress, createSandbox } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { createSmallDisk } from '../sandbox/small-disk.ts'
import type { SmallDisk } from '../sandbox/small-disk.ts'
import { dump, rulesIn } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

/** What the probe of each ruleset asks. */
const service = { address: clientAddress.internet.ipv4, port: 8080 }
const probes = [{ name: 'service', tcp: `${service.address}:${service.port}` }]
const cut = { name: 'cut', direction: 'egress', action: 'reject', protocol: 'tcp', ports: [service.port] }
const good = (port: number) =>
  rulesetOf({
    probes,
    defaults: { ingress: 'reject' },
    rules: [{ name: 'a', action: 'accept', protocol: 'tcp', ports: [port] }],
  })
const bad = rulesetOf({ probes, defaults: { ingress: 'reject' }, rules: [cut] })

const warningsOf = (line: LogLine) => JSON.stringify(line['warnings'] ?? [])
const inForce = (line: LogLine) => line['state'] === 'Enforcing'

/** Each goes by hand, and by itself: by the disk that the fault is made on. */
const faults: readonly (readonly [
  name: string,
  complaint: string,
  begin: (disk: SmallDisk, pid: number) => Promise<void>,
  end: (disk: SmallDisk, pid: number) => Promise<void>,
])[] = [
  [
    'full',
    'ENOSPC: no space left on device',
    async (disk, pid) => disk.fill(pid),
    async (disk, pid) => disk.free(pid),
  ],
  [
    'read-only',
    'EROFS: read-only file system',
    async (disk, pid) => disk.makeReadOnly(pid),
    async (disk, pid) => disk.makeWritable(pid),
  ],
]

describe.runIf((await usableBackends()).includes('nft'))('a disk of the host', () => {
  let sandbox: Sandbox

  beforeAll(async () => {
    sandbox = await createSandbox()
    await sandbox.internet.listen('tcp', service.port)
  })
  afterAll(async () => sandbox.close())

  async function start(setting: Partial<AgentSetting>) {
    const mount = await createMount({ 'worker.yaml': good(1) })
    const args = ['--backend', 'nft', '--verify-schedule', '* * * * * *', '--confirm-deadline', '2']
    const agent = await startAgent(sandbox.node, { rules: mount.folder, inNetwork: true, args, ...setting })
    onTestFinished(async () => {
      await agent.kill()
      await mount.remove()
      await setting.disk?.remove()
    })
    return { agent, edit: async (text: string) => mount.write({ 'worker.yaml': text }) }
  }

  /** The next pass with rules in force that have this port. */
  async function opened(agent: AgentProcess, port: number): Promise<LogLine> {
    const line = await agent.next(({ msg }) => msg === 'the change is confirmed')
    expect(await dump(sandbox.node)).toContain(`--dport ${port} `)
    return line
  }

  test.each(faults)(
    'the state folder %s: edits are tried all the same, and rolled back from memory; later all of it is kept',
    async (_, complaint, begin, end) => {
      const disk = await createSmallDisk()
      const { agent, edit } = await start({ disk, stateDir: join(disk.folder, 'state') })
      await opened(agent, 1)
      await begin(disk, agent.pid)
      await edit(good(2))
      await opened(agent, 2)
      const before = rulesIn(await dump(sandbox.node))
      const line = await agent.next((each) => inForce(each) && warningsOf(each).includes(complaint))
      expect(warningsOf(line)).toContain(`saving ${disk.folder}/state/last-good: ${complaint}`)

      await edit(bad)
      const rolledBack = await agent.next(({ state }) => state === 'RolledBack')
      expect(rolledBack.msg).toContain('test/service failed: ')
      expect(rulesIn(await dump(sandbox.node))).toBe(before)
      expect(await disk.read(agent.pid, 'state/last-good')).not.toContain('"quarantined":[{')

      await end(disk, agent.pid)
      await agent.next((each) => each['state'] === 'RolledBack' && !warningsOf(each).includes('saving'))
      const hash = rolledBack['ruleset']
      expect(await disk.read(agent.pid, 'state/last-good')).toContain(`"hash":"${String(hash)}"`)
      expect(await disk.read(agent.pid, 'state/journal')).toContain('"probe":"test/service"')
      expect(rulesIn(await dump(sandbox.node))).toBe(before)
    },
  )

  test('lock, state and status on a read-only path from the start: the rules are in force, and all of it is mended later', async () => {
    const disk = await createSmallDisk('read-only')
    const file = (name: string) => join(disk.folder, name)
    const { agent } = await start({
      disk,
      stateDir: file('state'),
      lockFile: file('lock'),
      statusFile: file('status/status.json'),
    })
    await opened(agent, 1)
    const line = await agent.next(inForce)
    expect(warningsOf(line)).toContain(
      `two agents on this node would not notice each other: locking ${file('lock')}: EROFS`,
    )
    expect(warningsOf(line)).toContain(`EROFS: read-only file system, mkdir '${file('state')}'`)
    expect(agent.log.map(({ msg }) => msg)).toContain('the status file cannot be written')
    await disk.makeWritable(agent.pid)
    await agent.next((each) => inForce(each) && !/EROFS/.test(warningsOf(each)))
    expect(await disk.read(agent.pid, 'lock')).toContain(`process ${agent.pid}`)
    expect(await disk.read(agent.pid, 'state/last-good')).toContain('"hash"')
    await expect.poll(async () => disk.read(agent.pid, 'status/status.json')).toContain('Enforcing')
    expect(await agent.stop()).toBe(0)
  })

  test.each(faults)(
    'that of the status file %s: it stays whole, and is written again later',
    async (_, complaint, begin, end) => {
      const disk = await createSmallDisk()
      const { agent, edit } = await start({ disk, statusFile: join(disk.folder, 'status.json') })
      await opened(agent, 1)
      const status = async () =>
        JSON.parse(await disk.read(agent.pid, 'status.json')) as Record<string, string>
      const ruleset = async () => (await status())['node-firewall.io/ruleset']
      await expect.poll(ruleset).toMatch(/^[0-9a-f]{12}$/)
      const old = await ruleset()
      await begin(disk, agent.pid)
      await edit(good(2))
      await opened(agent, 2)
      const line = await agent.next(({ msg }) => msg === 'the status file cannot be written')
      expect(JSON.stringify(line['err'])).toContain(complaint)
      expect(await ruleset()).toBe(old)
      await end(disk, agent.pid)
      await expect.poll(ruleset, { timeout: 30_000 }).not.toBe(old)
      expect((await status())['node-firewall.io/state']).toBe('Enforcing')
    },
  )

  test('a conntrack that hangs for longer than a change may take does not take the change back', async () => {
    const shims = await createShims()
    const args = ['--verify-schedule', '0 0 1 1 *', '--confirm-deadline', '6']
    const { agent, edit } = await start({ env: shims.env, args })
    await opened(agent, 1)
    await shims.put('conntrack', 'sleep 600; true')
    await edit(good(2))
    await opened(agent, 2)
    expect(agent.log.map(({ msg }) => msg)).not.toContain('the change is rolled back')
    await shims.remove()
  })
})
