import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { bootScriptFile, saveBootRestore } from '../../agent/host/boot-restore.ts'
import { bootUnit } from '../../agent/host/boot-unit.ts'
import { inNetworkOf } from '../../agent/host/exec.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { dump } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const many = Array.from({ length: 300 }, (_, index) => [
  `192.0.${index % 3}.${(index % 120) * 2}`,
  `2001:db8::${index}`,
]).flat()
const everything = rulesetOf({
  interfaces: { external: ['eth0', 'not-there-yet+'] },
  defaults: { ingress: 'reject', egress: 'reject', podIngress: 'drop', podEgress: 'reject' },
  rules: [
    { name: 'many', action: 'accept', from: [...new Set(many)], log: true },
    { name: 'nodes', action: 'accept', protocol: 'tcp', ports: [22], from: ['nodes'] },
    {
      name: 'web',
      action: 'accept',
      protocol: 'tcp',
      ports: [80],
      limit: { rate: '10/second', per: 'source' },
    },
    { name: 'out', direction: 'egress', action: 'drop', to: [...new Set(many)], audit: true },
  ],
})

describe.each(await usableBackends())('at the start of a machine with iptables-%s', (backend) => {
  let folder: string
  let rules: Awaited<ReturnType<typeof createMount>>
  let host: Host

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-firewall-boot-'))
    rules = await createMount({ 'a.yaml': everything })
    host = await startHost()
    await save()
  })
  afterEach(async () => {
    await host.close()
    await rules.remove()
    await rm(folder, { recursive: true })
  })

  /** What an agent leaves for the start of the machine once its rules are confirmed. */
  const save = async () => {
    const machine = await startHost()
    const { exitCode, stdout } = await agent(
      machine,
      '--boot-restore',
      '--state-dir',
      folder,
      '--unit-dir',
      join(folder, 'units'),
    )
    if (exitCode !== 0) throw new Error(stdout)
    await machine.close()
  }
  /** Runs the script as the unit would, on a host; what it prints. */
  const start = async (on: Host, env: NodeJS.ProcessEnv = {}) => {
    const { file, args } = inNetworkOf(on.pid, '/bin/sh', [join(folder, bootScriptFile)])
    const { stdout, stderr, exitCode } = await execa(file, args, { reject: false, env })
    expect(exitCode).toBe(0)
    return stdout + stderr
  }
  const agent = async (on: Host, ...more: string[]) => {
    const fixed = [
      '--once',
      '--standalone',
      '--health-address',
      'off',
      '--status-file',
      join(folder, 'status'),
    ]
    const args = ['--rules', rules.folder, '--backend', backend, '--target-pid', String(on.pid), ...more]
    return execa(process.execPath, [main, 'agent', ...fixed, ...args], { reject: false })
  }
  /** Each set begins with a number of its own, which decides the order of its elements. */
  const canonical = (text: string) =>
    text
      .replaceAll(/ initval \S+/g, '')
      .split('\n')
      .toSorted()
      .join('\n')
      .replaceAll(/\n+/g, '\n')

  test('what comes back is what the agent had, and the agent then has nothing to write', async () => {
    const other = await startHost()
    await agent(host)
    const before = await dump(host)
    expect(before.match(/^create node-firewall/gm)?.length).toBeGreaterThan(3)
    expect(await start(other)).toBe(
      [
        `ipv4 is restored with iptables-${backend}-restore`,
        `ipv6 is restored with ip6tables-${backend}-restore`,
      ]
        .map((line) => `node-firewall: ${line}\n`)
        .join('')
        .trimEnd(),
    )
    const restored = await dump(other)
    expect(canonical(restored)).toBe(canonical(before))
    const rulesOnly = (text: string) => text.slice(0, text.indexOf('--- ipset'))
    expect(rulesOnly(restored)).toBe(rulesOnly(before))
    const dryRun = await agent(other, '--dry-run')
    expect({ exitCode: dryRun.exitCode, said: dryRun.stdout.match(/differ|missing/g) }).toEqual({
      exitCode: 0,
      said: null,
    })
    await agent(other)
    expect(await dump(other)).toBe(restored)
    await other.close()
  })

  test('a mode that means nothing, or is a folder, keeps nobody from it', async () => {
    await writeFile(join(folder, 'mode'), 'offf\n')
    expect(await start(host)).toContain('ipv4 is restored')
    await rm(join(folder, 'mode'))
    await mkdir(join(folder, 'mode'))
    expect(await start(host)).toContain('chains of node-firewall are there already')
  })

  test('the same script is harmless when it runs again, or after the agent', async () => {
    await start(host)
    const restored = await dump(host)
    const said = await start(host)
    expect(said).toContain('ipv4 is not restored: chains of node-firewall are there already')
    expect(said).toContain('ipv6 is not restored: chains of node-firewall are there already')
    expect(await dump(host)).toBe(restored)
  })

  test('rules of others stay, and clean takes away what was restored', async () => {
    const cleaned = ['--state-dir', join(folder, 'none'), '--unit-dir', join(folder, 'none')]
    for (const name of ['iptables', 'ip6tables']) {
      await host.exec(`${name}-${backend}`, ['--wait', '-A', 'INPUT', '-i', 'eth7', '-j', 'DROP'])
      for (const base of ['FORWARD', 'OUTPUT'])
        await host.exec(`${name}-${backend}`, ['--wait', '-P', base, 'ACCEPT'])
    }
    const before = await dump(host)
    await start(host)
    expect(await dump(host)).toContain('-A INPUT -i eth7 -j DROP')
    await execa(process.execPath, [main, 'clean', '--target-pid', String(host.pid), ...cleaned])
    expect(await dump(host)).toBe(before)
  })

  test.runIf(backend === 'nft')('clean takes away the table that the start has made', async () => {
    const cleaned = ['--state-dir', join(folder, 'none'), '--unit-dir', join(folder, 'none')]
    const before = await dump(host)
    await start(host)
    await agent(host)
    await execa(process.execPath, [main, 'clean', '--target-pid', String(host.pid), ...cleaned])
    expect(await dump(host)).toBe(before)
  })

  const file = () => join(folder, 'boot-restore')
  const text = async () => readFile(file(), 'utf8')
  test.each<[string, () => Promise<void>, RegExp]>([
    ['it was cut', async () => writeFile(file(), (await text()).slice(0, -30)), /is damaged: its SHA-256 is/],
    [
      'a bit has flipped',
      async () => writeFile(file(), (await text()).replace('DROP', 'DROQ')),
      /is damaged/,
    ],
    ['it is empty', async () => writeFile(file(), ''), /is damaged: .* expected one in the first line/],
    [
      'the first line is missing',
      async () => writeFile(file(), (await text()).replace(/.*\n/, '')),
      /is damaged/,
    ],
    ['it is not there', async () => rm(file()), /nothing is restored: there is no /],
    [
      'nothing was in force',
      async () => saveBootRestore(folder, undefined),
      /nothing is restored: there is no /,
    ],
    [
      'somebody has switched the node off',
      async () => writeFile(join(folder, 'mode'), 'off\n'),
      /nothing is restored: .*\/mode says off/,
    ],
  ])('nothing is restored from the file if %s', async (_name, damage, message) => {
    const before = await dump(host)
    await damage()
    expect(await start(host)).toMatch(message)
    expect(await dump(host)).toBe(before)
  })

  test('a family whose rules are refused has none, and the other one has all of its own', async () => {
    const shims = await createShims()
    await shims.put(`ip6tables-${backend}-restore`, 'exit 1')
    const said = await start(host, shims.env)
    await shims.remove()
    expect(said).toContain(`ipv4 is restored with iptables-${backend}-restore`)
    expect(said).toContain(`ipv6 is not restored: ip6tables-${backend}-restore refused the rules`)
    const { stdout } = await host.exec(`ip6tables-${backend}-save`, [])
    expect(stdout).not.toContain('node-firewall')
  })

  test('without the programs of the backend, plain ones do if they are of it', async () => {
    const programs = await createPrograms(backend)
    expect(await start(host, programs.env)).toContain('ipv4 is restored with iptables-restore')
    await programs.remove()
    expect((await agent(host, '--dry-run')).exitCode).toBe(0)
  })

  test('without them, nothing is restored into the other backend', async () => {
    const before = await dump(host)
    const programs = await createPrograms(backend === 'nft' ? 'legacy' : 'nft')
    const said = await start(host, programs.env)
    await programs.remove()
    expect(said).toContain(
      `ipv4 is not restored: there is neither iptables-${backend}-restore nor a iptables-restore that is ${backend}`,
    )
    expect(await dump(host)).toBe(before)
  })

  test('what cannot be kept for the start is told of in the status, and kept once it can be', async () => {
    const units = join(folder, 'not-a-folder')
    await writeFile(units, '')
    const args = [
      '--backend',
      backend,
      '--boot-restore',
      '--unit-dir',
      units,
      '--verify-schedule',
      '* * * * * *',
    ]
    const running = await startAgent(host, { rules: rules.folder, args })
    onTestFinished(async () => void (await running.stop()))
    const complaint = 'boot-restore: the rules for the start of the machine are not kept: ENOTDIR'
    const isTold = ({ warnings = '' }: LogLine) => JSON.stringify(warnings).includes(complaint)
    await running.next(({ state, ...line }) => state === 'Enforcing' && isTold(line))
    await rm(units)
    await mkdir(units)
    await running.next(({ state, ...line }) => state === 'Enforcing' && !isTold(line))
    expect(await readFile(join(units, bootUnit), 'utf8')).toContain('ExecStart=/bin/sh ')
  })

  /** A PATH in which `iptables-restore` is the program of a backend, and no program names its backend. */
  async function createPrograms(of: 'nft' | 'legacy') {
    const shims = await createShims()
    const bin = shims.env.PATH.split(':')[0] ?? ''
    const plain = ['sh', 'sed', 'grep', 'head', 'tail', 'cut', 'sha256sum', 'ipset', 'rm', 'cat']
    for (const name of plain)
      await shims.put(name, `exec "$(PATH=${process.env['PATH']} command -v ${name})" "$@"`)
    for (const name of ['iptables', 'ip6tables']) {
      for (const verb of ['restore', 'save']) {
        await shims.put(`${name}-${verb}`, `PATH=${process.env['PATH']} exec ${name}-${of}-${verb} "$@"`)
      }
    }
    // The script adds the usual folders to PATH; a copy of it that does not stands in.
    const script = join(folder, bootScriptFile)
    const original = await readFile(script, 'utf8')
    await cp(script, `${script}.kept`)
    await writeFile(script, original.replace(/^PATH=.*$/m, `PATH=${bin}`))
    return {
      env: {},
      remove: async () => {
        await cp(`${script}.kept`, script)
        await shims.remove()
      },
    }
  }
})
