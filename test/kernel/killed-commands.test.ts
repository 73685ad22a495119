import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import { dump } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const backends = await usableBackends()
const closed = { interfaces: { external: ['eth0'] }, defaults: { ingress: 'drop', egress: 'drop' } }
const none = { nodeSelector: { matchLabels: { no: 'node' } } }

/** What iptables-nft makes for our rules is told of by marks; whoever is killed over them must not lose one. */
describe.runIf(backends.includes('nft'))('what iptables-nft made goes all the same', () => {
  let host: Host
  let folder: string
  let rules: Awaited<ReturnType<typeof createMount>>
  let shims: Awaited<ReturnType<typeof createShims>>
  let before: string

  beforeEach(async () => {
    host = await startHost()
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-killed-'))
    rules = await createMount({ 'a.yaml': rulesetOf(closed) })
    shims = await createShims()
    before = await dump(host)
  })
  afterEach(async () => {
    await Promise.all([host.close(), rules.remove(), shims.remove(), rm(folder, { recursive: true })])
  })

  const run = async (...args: string[]) => {
    const all = [main, ...args, '--target-pid', String(host.pid), '--status-file', join(folder, 'status')]
    return execa(process.execPath, all, { env: shims.env, reject: false })
  }
  const pass = async () => {
    const where = ['--rules', rules.folder, '--backend', 'nft', '--state-dir', join(folder, 'state')]
    return run(
      'agent',
      '--once',
      '--standalone',
      '--health-address',
      'off',
      '--log-level',
      'silent',
      ...where,
    )
  }
  const clean = async () => run('clean', '--state-dir', join(folder, 'state'))
  /** Stands before a program, once: a script in which `MET` says that its time has come, and REAL is the program. */
  const once = async (program: string, script: string) => {
    const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim()
    const met = join(folder, 'met')
    const own = script.replaceAll('MET', `touch ${met}`).replaceAll('REAL', real)
    await shims.put(program, `[ -e ${met} ] && exec ${real} "$@"\n${own}\nexec ${real} "$@"`)
    return () => expect(existsSync(met)).toBe(true)
  }
  /** The same for one that reads its input, at an input that has a certain line. */
  const onceAt = async (line: string, script: string) =>
    once(
      'iptables-nft-restore',
      `input=$(cat; echo)
case $input in *"${line}
"*) ${script} ;; esac
printf '%s' "$input" | REAL "$@"
exit`,
    )

  test.each(['-X INPUT', '-X OUTPUT', '-X node-firewall-made-INPUT'])(
    'when clean loses a command at %s',
    async (line) => {
      await pass()
      const wasMet = await onceAt(line, 'MET; kill -KILL $$')
      expect((await clean()).exitCode).not.toBe(0)
      wasMet()
      expect((await clean()).exitCode).toBe(0)
      expect(await dump(host)).toBe(before)
    },
  )

  test('when the agent could not ask what is there already', async () => {
    const wasMet = await once('nft', 'case $* in "list chains"*) MET; kill -KILL $$ ;; esac')
    await pass()
    wasMet()
    expect((await pass()).exitCode).toBe(0)
    expect(await dump(host)).toContain('node-firewall-made-INPUT')
    await clean()
    expect(await dump(host)).toBe(before)
  })

  test('when the agent is killed after its last rule went, and the next one finds none', async () => {
    await pass()
    await rules.write({ 'a.yaml': rulesetOf(none) })
    const kill = `printf '%s' "$input" | REAL "$@"; MET; kill -KILL $PPID; exit`
    const wasMet = await onceAt('-X node-firewall', kill)
    expect((await pass()).signal).toBe('SIGKILL')
    wasMet()
    expect(await dump(host)).toContain('node-firewall-made-INPUT')
    expect((await pass()).exitCode).toBe(0)
    expect(await dump(host)).toBe(before)
  })
})

describe.each(backends)(
  'an agent that is killed once its rules are in the kernel, on iptables-%s',
  (backend) => {
    test('leaves it to the next one to cut the connections that they deny', async () => {
      const [sandbox, rules, shims] = await Promise.all([
        createSandbox(),
        createMount({
          'a.yaml': rulesetOf({ rules: [{ name: 'web', action: 'accept', protocol: 'tcp', ports: [80] }] }),
        }),
        createShims(),
      ])
      const stateDir = join(shims.folder, 'state')
      const start = async (env: NodeJS.ProcessEnv) =>
        startAgent(sandbox.node, { rules: rules.folder, args: ['--backend', backend], stateDir, env })
      await sandbox.node.listen('tcp', 80)
      const first = await start(shims.env)
      await first.next(({ state }) => state === 'Enforcing')
      const held = `exec 3<>/dev/tcp/${nodeAddress.ipv4}/80; cat <&3`
      const ended = sandbox.internet.exec('bash', ['-c', held]).catch(() => {})
      await expect.poll(async () => sandbox.node.received(80)).toBe(1)

      const name = `iptables-${backend}-restore`
      const real = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
      await shims.put(name, `${real} "$@"; kill -KILL $PPID`)
      await rules.write({ 'a.yaml': rulesetOf({ defaults: { ingress: 'reject' } }) })
      await expect(first.next(() => false)).rejects.toThrow('SIGKILL')
      const second = await start({})
      const line = await second.next(({ msg }) => msg.startsWith('standing connections that are denied'))
      expect(line['cut']).toBe(1)
      await ended
      await second.stop()
      await Promise.all([rules.remove(), shims.remove(), sandbox.close()])
    })

    test('leaves it to the next one to cut what a trial let in that it had rolled back', async () => {
      const probes = [{ name: 'internet', icmp: clientAddress.internet.ipv4, timeout: '200ms' }]
      const open = { name: 'web', action: 'accept', protocol: 'tcp', ports: [80] }
      const deaf = { name: 'deaf', direction: 'egress', action: 'drop', protocol: 'icmp' }
      const closed = rulesetOf({ probes, defaults: { ingress: 'reject' } })
      const bad = rulesetOf({ probes, defaults: { ingress: 'reject' }, rules: [open, deaf] })
      const [sandbox, rules, shims] = await Promise.all([
        createSandbox(),
        createMount({ 'a.yaml': closed }),
        createShims(),
      ])
      const stateDir = join(shims.folder, 'state')
      const args = ['--backend', backend, '--confirm-deadline', '4']
      const start = async (env: NodeJS.ProcessEnv) =>
        startAgent(sandbox.node, { rules: rules.folder, args, stateDir, env, inNetwork: true })
      await sandbox.node.listen('tcp', 80)
      const first = await start(shims.env)
      await first.next(({ msg }) => msg === 'the change is confirmed')
      const name = `iptables-${backend}-restore`
      const real = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
      await rules.write({ 'a.yaml': bad })
      await first.next(({ msg }) => msg === 'rules written')
      const held = `exec 3<>/dev/tcp/${nodeAddress.ipv4}/80; cat <&3`
      const ended = sandbox.internet.exec('bash', ['-c', held]).catch(() => {})
      await expect.poll(async () => sandbox.node.received(80)).toBe(1)
      await shims.put(name, `${real} "$@"; kill -KILL $PPID`)
      await expect(first.next(() => false)).rejects.toThrow('SIGKILL')

      const second = await start({})
      const line = await second.next(({ msg }) => msg.startsWith('standing connections that are denied'))
      expect(line['cut']).toBe(1)
      await ended
      expect(second.log.find(({ state }) => state !== undefined)?.['state']).toBe('RolledBack')
      await second.stop()
      await Promise.all([rules.remove(), shims.remove(), sandbox.close()])
    })
  },
)
