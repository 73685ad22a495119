import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { createMount } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { dump } from './dump.ts'
import { rulesetOf } from './enforce.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const many = Array.from({ length: 20 }, (_, index) => [
  `192.0.2.${index * 2}`,
  `2001:db8::${index * 2}`,
]).flat()
/** Every base chain, a set of each family, logs, limits and an audit chain. */
const everything = {
  interfaces: { external: ['eth0'] },
  defaults: { ingress: 'reject', egress: 'reject', podIngress: 'drop', podEgress: 'reject' },
  rules: [
    { name: 'many', action: 'accept', from: many, log: true },
    {
      name: 'web',
      action: 'accept',
      protocol: 'tcp',
      ports: [80],
      limit: { rate: '10/second', per: 'source' },
    },
    { name: 'out', direction: 'egress', action: 'drop', to: many, audit: true },
  ],
}
const audited = { ...everything, mode: 'audit', defaults: {}, rules: everything.rules.slice(0, 1) }

const backends = await usableBackends()

describe.each(backends)('clean on iptables-%s', (backend) => {
  let host: Host
  let folder: string
  let rules: Awaited<ReturnType<typeof createMount>>

  beforeEach(async () => {
    host = await startHost()
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-clean-'))
    rules = await createMount({ 'a.yaml': rulesetOf(everything), 'b.yaml': rulesetOf(audited, 'audited') })
  })
  afterEach(async () => {
    await rules.remove()
    await rm(folder, { recursive: true })
    await host.close()
  })

  const run = async (...args: string[]) => {
    const { stdout } = await execa(process.execPath, [main, ...args, '--target-pid', String(host.pid)])
    return stdout
  }
  const install = async (how: Backend = backend) => {
    const quiet = [
      '--health-address',
      'off',
      '--log-level',
      'silent',
      '--status-file',
      join(folder, 'status'),
    ]
    await run('agent', '--once', '--standalone', '--rules', rules.folder, '--backend', how, ...quiet)
  }
  const clean = async () =>
    run('clean', '--state-dir', join(folder, 'state'), '--unit-dir', join(folder, 'units'))
  const iptables = async (...args: string[]) => {
    for (const name of ['iptables', 'ip6tables']) await host.exec(`${name}-${backend}`, ['--wait', ...args])
  }
  /** The legacy backend's table comes with the first look at it, and goes with the namespace alone. */
  const makeLegacyTable = async () => {
    if (backend === 'legacy') await iptables('-t', 'filter', '-S')
  }

  test('leaves an empty namespace as it was, byte for byte', async () => {
    await makeLegacyTable()
    const before = await dump(host)
    await install()
    const installed = await dump(host)
    for (const part of ['-A FORWARD -j node-firewall-fwd', '-j LOG', 'hash:net family inet6'])
      expect(installed).toContain(part)
    await clean()
    expect(await dump(host)).toBe(before)
  })

  test('leaves the rules, policies and sets of others as they were, byte for byte', async () => {
    await iptables('-N', 'KUBE-FIREWALL')
    await iptables('-A', 'KUBE-FIREWALL', '-m', 'mark', '--mark', '0x8000/0x8000', '-j', 'DROP')
    await iptables('-A', 'INPUT', '-j', 'KUBE-FIREWALL')
    await iptables('-N', 'EMPTY')
    await iptables('-P', 'FORWARD', 'DROP')
    await iptables('-t', 'nat', '-A', 'POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE')
    await host.exec('ipset', ['create', 'foreign', 'hash:ip'])
    await host.exec('nft', ['add', 'table', 'inet', 'somebody'])
    const before = await dump(host)
    await install()
    await clean()
    expect(await dump(host)).toBe(before)
  })

  test('does the same when it is run again, and says that nothing is left to remove', async () => {
    await makeLegacyTable()
    const before = await dump(host)
    await install()
    expect(await clean()).toContain(`iptables-${backend} ipv6: removed`)
    expect(await clean()).not.toMatch(/: .*removed/)
    expect(await dump(host)).toBe(before)
  })

  test('cleans up after a change of the backend', async () => {
    const other = backend === 'nft' ? 'legacy' : 'nft'
    for (const name of ['iptables', 'ip6tables']) await host.exec(`${name}-legacy`, ['--wait', '-S'])
    const before = await dump(host)
    await install(other)
    await install()
    await clean()
    expect(await dump(host)).toBe(before)
  })

  test('removes its files on the host, and no others', async () => {
    const state = join(folder, 'state')
    await createFiles(state, [
      'last-good',
      'journal.0123abcd.tmp',
      'boot-restore',
      'boot-restore.sh',
      'mode',
      'theirs',
    ])
    await createFiles(join(folder, 'units'), ['node-firewall-restore.service', 'other.service'])
    await clean()
    expect(await readdir(state)).toEqual(['theirs'])
    expect(await readdir(join(folder, 'units'))).toEqual(['other.service'])
    await rm(join(state, 'theirs'))
    await clean()
    expect(await readdir(folder)).toEqual(['units'])
  })
})

describe.runIf(backends.includes('nft'))('what iptables-nft made for our rules', () => {
  let host: Host
  let rules: Awaited<ReturnType<typeof createMount>>

  beforeEach(async () => {
    host = await startHost()
    rules = await createMount({ 'a.yaml': rulesetOf(everything) })
  })
  afterEach(async () => {
    await rules.remove()
    await host.close()
  })

  const run = async (...args: string[]) =>
    (await execa(process.execPath, [main, ...args, '--target-pid', String(host.pid)])).stdout
  const install = async () =>
    run('agent', '--once', '--standalone', '--rules', rules.folder, '--backend', 'nft', ...quiet)
  const quiet = ['--health-address', 'off', '--log-level', 'silent', '--status-file', '/dev/null/none']
  const clean = async () => run('clean', '--state-dir', '/dev/null/none', '--unit-dir', '/dev/null/none')
  const ruleset = async () => (await host.exec('nft', ['list', 'ruleset'])).stdout

  test.each([
    ['an empty table', [['nft', 'add', 'table', 'ip', 'filter']]],
    ['an empty base chain', [['iptables-nft', '-P', 'INPUT', 'ACCEPT']]],
    ['an empty base chain that denies', [['iptables-nft', '-P', 'OUTPUT', 'DROP']]],
    ['chains of IPv6 alone', [['ip6tables-nft', '-A', 'FORWARD', '-j', 'ACCEPT']]],
  ])('stays if it was there before: %s', async (_name, commands) => {
    for (const [program = '', ...args] of commands) await host.exec(program, args)
    const before = await dump(host)
    await install()
    await clean()
    expect(await dump(host)).toBe(before)
  })

  test.each([
    ['a rule', ['iptables-nft', '-A', 'INPUT', '-s', '192.0.2.1', '-j', 'DROP'], 'ip saddr 192.0.2.1'],
    ['a policy', ['iptables-nft', '-P', 'INPUT', 'DROP'], 'policy drop'],
    ['a chain', ['iptables-nft', '-N', 'THEIRS'], 'chain THEIRS'],
    ['a native set', ['nft', 'add set ip filter theirs { type ipv4_addr; }'], 'set theirs'],
  ])('stays if others have put %s into it since', async (_name, [program = '', ...args], expected) => {
    await install()
    await host.exec(program, args)
    const said = await clean()
    expect(said).toContain('stays: others use it by now')
    const left = await ruleset()
    expect(left).toContain(expected)
    expect(left).not.toContain('node-firewall')
    expect(left).not.toContain('table ip6')
  })

  test('nobody’s rule is lost who is at work in the same table', async () => {
    const mine = Array.from({ length: 40 }, (_, index) => `10.7.${index}.1`)
    for (let round = 0; round < 4; round += 1) {
      await install()
      const ours = mine.slice(round * 10, round * 10 + 10)
      const adding = (async () => {
        for (const source of ours)
          await host.exec('iptables-nft', ['-A', 'INPUT', '-s', source, '-j', 'DROP'])
      })()
      await Promise.all([adding, clean()])
      const left = await ruleset()
      for (const source of ours) expect(left).toContain(`ip saddr ${source} counter`)
      await host.exec('iptables-nft', ['-F', 'INPUT'])
      await host.exec('nft', ['flush', 'ruleset'])
    }
  })
})

async function createFiles(folder: string, names: readonly string[]): Promise<void> {
  await execa('mkdir', ['-p', folder])
  for (const name of names) await writeFile(join(folder, name), '')
}
