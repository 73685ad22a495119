import { execa } from 'execa'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDenials } from '../../agent/daemon/denials.ts'
import type { DenialsOptions } from '../../agent/daemon/denials.ts'
import { inNetworkOf } from '../../agent/host/exec.ts'
import { nflogCommand } from '../../agent/host/log-readers.ts'
import type { Wanted } from '../../agent/policy/decide.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { drop, policyOf } from '../policy/policy-of.ts'
import { startHost } from '../sandbox/host.ts'
import { rulesetOf } from './enforce.ts'

const [backend] = await usableBackends()
const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const logs = rulesetOf({
  interfaces: { external: ['any'] },
  rules: [{ name: 'no ssh', action: 'drop', protocol: 'tcp', ports: [22], log: true }],
})
const silent = rulesetOf({
  interfaces: { external: ['any'] },
  rules: [{ name: 'no ssh', action: 'drop', protocol: 'tcp', ports: [22] }],
})

describe.runIf(backend !== undefined)('an agent and its reader', () => {
  let sandbox: Sandbox
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess | undefined

  beforeEach(async () => {
    mount = await createMount({ 'worker.yaml': logs })
    sandbox = await createSandbox()
  })
  afterEach(async () => {
    await agent?.stop()
    await mount.remove()
    await sandbox.close()
  })

  async function start(...args: readonly string[]): Promise<AgentProcess> {
    agent = await startAgent(sandbox.node, { rules: mount.folder, args: ['--backend', 'nft', ...args] })
    expect(await agent.next(({ state }) => state !== undefined)).toMatchObject({ state: 'Enforcing' })
    return agent
  }

  /** The process that listens to our group; the kernel says which (nfnetlink_log.c). */
  async function listener(): Promise<number | undefined> {
    const { stdout } = await sandbox.node.exec('cat', ['/proc/net/netfilter/nfnetlink_log'])
    const [, pid] = /^ *10268 +(\d+)/m.exec(stdout) ?? []
    return pid === undefined ? undefined : Number(pid)
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await pause(50)
  }

  async function knock(source?: string): Promise<void> {
    const from = source === undefined ? {} : { source }
    await sandbox.internet.probe({
      protocol: 'tcp',
      address: nodeAddress.ipv4,
      port: 22,
      silenceMs: 50,
      ...from,
    })
  }

  async function rules(): Promise<string> {
    return (await sandbox.node.exec('iptables-nft-save', ['-t', 'filter'])).stdout
  }

  test('a reader that is killed is started again, and one that has nothing to read ends', async () => {
    const running = await start()
    const first = await listener()
    expect(first).toBeGreaterThan(0)
    process.kill(first ?? 0, 'SIGKILL')
    await running.next(({ msg }) => msg === 'reading what rules log was interrupted')
    await until(async () => ![undefined, first].includes(await listener()))
    await knock()
    expect(await running.next(({ msg }) => msg === 'denied')).toMatchObject({
      rule: 'no ssh',
      from: clientAddress.internet.ipv4,
    })
    expect(await rules()).toContain('-j NFLOG')
    await mount.write({ 'worker.yaml': silent })
    await until(async () => (await listener()) === undefined)
    await running.next(({ msg }) => msg === 'rules written')
    expect(await rules()).not.toContain('LOG')
  })

  test('where another program has the group, rules log to the log of the kernel, and the status says so', async () => {
    const { file, args } = inNetworkOf(sandbox.node.pid, nflogCommand()[0], nflogCommand().slice(1))
    const other = execa(file, args, { reject: false, stdin: 'ignore' })
    await until(async () => (await listener()) !== undefined)
    const running = await start()
    const annotations = await running.status()
    const details = JSON.parse(annotations['node-firewall.io/status'] ?? '') as {
      logging: unknown
      warnings: string[]
    }
    // A sandbox is not the network namespace that the kernel logs of.
    const note =
      'NFLOG group 10268 cannot be had: another program listens to it; the kernel logs nothing of this network namespace'
    expect(details.logging).toEqual({ by: 'nothing', note })
    expect(details.warnings).toContain(`what rules log is not read: ${note}`)
    expect(await rules()).toContain('-j LOG --log-prefix "node-fw drop test/no ssh " --log-level 6')
    other.kill('SIGKILL')
    await other
    running.signal('SIGHUP')
    await running.next(({ reasons }) => String(reasons).includes('signal'))
    // It is not written back and forth.
    expect(running.log.filter(({ msg }) => msg === 'rules written')).toHaveLength(2)
    expect(await rules()).not.toContain('NFLOG')
    const verify = await execa(
      process.execPath,
      [main, 'verify', '--standalone', '--rules', mount.folder, '--target-pid', String(sandbox.node.pid)],
      { reject: false },
    )
    expect(verify.stdout).toBe('ipv4: in sync\nipv6: in sync')
  })

  test('a single pass leaves rules that log to the log of the kernel, since nobody stays to read', async () => {
    agent = await startAgent(sandbox.node, { rules: mount.folder, args: ['--backend', 'nft', '--once'] })
    await agent.next(({ state }) => state === 'Enforcing')
    expect(await rules()).toContain('-j LOG')
    expect(await listener()).toBeUndefined()
  })
})

describe('the log of the kernel', () => {
  const policy = policyOf({
    ingress: [drop('ssh that nobody is to reach from anywhere', {}, { log: true })],
  })
  const wanted: Wanted = { kind: 'policy', policy }
  const packet =
    'IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TTL=63 PROTO=TCP SPT=40000 DPT=22 SYN '

  /** A pipe gives its reader what /dev/kmsg gives: nothing of what was before, and then line by line. */
  test('is read as it is written, and names are found again that were cut', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kmsg-'))
    const file = join(folder, 'kmsg')
    await execa('mkfifo', [file])
    const pipe = await open(file, 'r+')
    const host = await startHost()
    const { lines, first, log } = createLogBook()
    const denials = openDenials({
      targetPid: host.pid,
      wish: 'kernel',
      kernelLog: file,
      log,
      onChange: () => {},
    })
    expect(await denials.chooseTarget(wanted)).toBe('kernel')
    await pipe.write(
      [
        '6,100,5000,-;eth0: link becomes ready',
        ' SUBSYSTEM=net',
        `14,101,5001,-;node-fw drop test/forged ${packet}`,
        `6,102,5002,-;node-fw drop ssh that n~a3f4 ${packet}`,
        '',
      ].join('\n'),
    )
    await first()
    expect(lines).toMatchObject([
      {
        ruleset: 'test',
        rule: 'ssh that nobody is to reach from anywhere',
        from: '192.0.2.1',
        port: 22,
        msg: 'denied',
      },
    ])
    expect(denials.report(undefined)).toMatchObject({
      logging: { by: 'kernel log' },
      denied: { packets: 1, flows: [{ rule: 'test/ssh that nobody is to reach from anywhere', packets: 1 }] },
    })
    expect(denials.news().recent).toHaveLength(1)
    await denials.stop()
    await pipe.close()
    await host.close()
    await rm(folder, { recursive: true })
  })

  test('is read with its own names where another program has taken the group', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kmsg-'))
    const kernelLog = join(folder, 'kmsg')
    await execa('mkfifo', [kernelLog])
    const pipe = await open(kernelLog, 'r+')
    const host = await startHost()
    const { lines, first, log } = createLogBook()
    const { promise: changed, resolve: onChange } = Promise.withResolvers<void>()
    const denials = openDenials({ targetPid: host.pid, wish: 'auto', kernelLog, log, onChange })
    expect(await denials.chooseTarget(wanted)).toBe('nflog')

    const { file, args } = inNetworkOf(host.pid, nflogCommand()[0], nflogCommand().slice(1))
    while (denials.report(undefined)?.logging?.note === undefined) {
      const other = execa(file, args, { reject: false, stdin: 'ignore' })
      const cat = inNetworkOf(host.pid, 'cat', ['/proc/net/netfilter/nfnetlink_log'])
      const { stdout } = await execa(cat.file, cat.args)
      const pid = Number(/^ *10268 +(\d+)/m.exec(stdout)?.[1] ?? other.pid)
      if (pid !== other.pid) process.kill(pid, 'SIGKILL')
      await Promise.race([changed, other])
      other.kill('SIGKILL')
      await other
    }
    expect(await denials.chooseTarget(wanted)).toBe('kernel')
    await pipe.write(`6,102,5002,-;node-fw drop ssh that n~a3f4 ${packet}\n`)
    await first()
    expect(lines).toMatchObject([{ ruleset: 'test', rule: 'ssh that nobody is to reach from anywhere' }])
    await denials.stop()
    await pipe.close()
    await host.close()
    await rm(folder, { recursive: true })
  })

  test('that is not there is told of, and nothing is read', async () => {
    const host = await startHost()
    const { log } = createLogBook()
    const kernelLog = '/nowhere/kmsg'
    const denials = openDenials({ targetPid: host.pid, wish: 'kernel', kernelLog, log, onChange: () => {} })
    await denials.chooseTarget(wanted)
    expect(denials.report(undefined)?.logging).toEqual({
      by: 'nothing',
      note: '/nowhere/kmsg: No such file or directory',
    })
    await denials.stop()
    await host.close()
  })
})

/** What is logged at info. */
function createLogBook() {
  const lines: object[] = []
  let wake = () => {}
  const log = {
    info(fields: object, msg: string) {
      lines.push({ ...fields, msg })
      wake()
    },
    warn: () => {},
  } as unknown as DenialsOptions['log']
  const first = async () => {
    while (lines.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { lines, first, log }
}
