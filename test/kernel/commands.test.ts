import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMount } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const many = Array.from({ length: 20 }, (_, index) => [`192.0.2.${index * 2}`, `2001:db8::${index * 2}`])
const closed = rulesetOf({
  interfaces: { external: ['eth0'] },
  defaults: { ingress: 'reject' },
  rules: [{ name: 'many', action: 'accept', from: many.flat() }],
})

describe.each(await usableBackends())('commands on iptables-%s', (backend) => {
  let host: Host
  let mount: Awaited<ReturnType<typeof createMount>>

  beforeAll(async () => {
    host = await startHost()
    mount = await createMount({ 'worker.yaml': closed })
  })
  afterAll(async () => {
    await mount.remove()
    await host.close()
  })

  async function run(command: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    const nowhere = ['--state-dir', '/dev/null/none', '--unit-dir', '/dev/null/none']
    const node =
      command === 'clean' ? nowhere : ['--standalone', '--rules', mount.folder, '--backend', backend]
    const all = [main, command, '--target-pid', String(host.pid), ...node, ...args]
    const { exitCode, stdout } = await execa(process.execPath, all, { reject: false, env })
    return { exitCode, stdout }
  }

  const once = [
    '--once',
    '--health-address',
    'off',
    '--status-file',
    '/dev/null/none',
    '--log-level',
    'silent',
  ]

  test('agent --dry-run writes nothing and fails, agent --once writes, verify tells them apart', async () => {
    expect((await run('agent', [...once, '--dry-run'])).exitCode).toBe(1)
    expect((await run('verify')).exitCode).toBe(3)
    expect((await run('agent', once)).exitCode).toBe(0)
    expect(await run('verify')).toEqual({ exitCode: 0, stdout: 'ipv4: in sync\nipv6: in sync' })
  })

  test('verify prints what differs', async () => {
    await host.exec(`iptables-${backend}`, [
      '--wait',
      '-I',
      'node-firewall',
      '2',
      '-s',
      '10.0.0.1',
      '-j',
      'ACCEPT',
    ])
    await host.exec(`ip6tables-${backend}`, ['--wait', '-D', 'INPUT', '-j', 'node-firewall'])
    expect(await run('verify')).toEqual({
      exitCode: 3,
      stdout: [
        'ipv4: chain node-firewall differs: 1 foreign rule',
        '  + -A node-firewall -s 10.0.0.1/32 -j ACCEPT',
        'ipv6: INPUT does not jump to node-firewall',
        '  - -A INPUT -j node-firewall',
      ].join('\n'),
    })
  })

  test('verify does not know when it cannot read, or has nothing to compare with', async () => {
    const shims = await createShims()
    await shims.put(`ip6tables-${backend}-save`, 'printf "*filter\\n"')
    const unreadable = await run('verify', [], shims.env)
    await shims.remove()
    expect(unreadable.exitCode).toBe(4)
    expect(unreadable.stdout).toContain('ipv6: unknown: reading the filter table')
    const empty = await createMount({})
    expect((await run('verify', ['--rules', empty.folder])).exitCode).toBe(4)
    await empty.remove()
  })

  test('clean removes what is ours, leaves what is not, and shows it', async () => {
    const foreign = ['-I', 'INPUT', '1', '-s', '10.9.9.9', '-j', 'DROP']
    await host.exec(`iptables-${backend}`, ['--wait', ...foreign])
    await host.exec(`iptables-${backend}`, ['--wait', '-A', 'FORWARD', '-j', 'node-firewall'])
    await host.exec('ipset', ['create', '-exist', 'foreign', 'hash:ip'])
    const first = await run('clean')
    expect(first.exitCode).toBe(0)
    expect(first.stdout).toContain(
      `iptables-${backend} ipv4: removed; read back: nothing of node-firewall is left`,
    )
    expect(first.stdout).toContain(
      `iptables-${backend} ipv6: removed; read back: nothing of node-firewall is left`,
    )
    expect(first.stdout).toContain('kernel sets: 2 removed; read back: none is left')
    expect((await host.exec('ipset', ['list', '-name'])).stdout).toBe('foreign\n')
    const { stdout: saved } = await host.exec(`iptables-${backend}-save`, ['-t', 'filter'])
    expect(saved).not.toContain('node-firewall')
    expect(saved).toContain('-A INPUT -s 10.9.9.9/32 -j DROP')
    const second = await run('clean')
    expect(second.stdout).not.toContain('removed')
    expect(second.exitCode).toBe(0)
  })
})
