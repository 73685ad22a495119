import { execFile } from 'node:child_process'
import { rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { openTables, rulesetOf } from './enforce.ts'

const external = { interfaces: { external: ['eth0'] } }
const good = rulesetOf({ ...external, defaults: { ingress: 'reject' } }, 'good')
const rule = (text: string) =>
  `apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: {name: bad}\nspec:\n  rules:\n    - ${text}\n`

/** What can be in the folder of rules beside a sound file, and how the agent complains of it. */
const inputs: readonly (readonly [name: string, content: string | Uint8Array, complaint: string])[] = [
  ['YAML that does not parse', 'a: [1\nb: }', 'bad.yaml:2:'],
  ['an empty file', '', 'bad.yaml:1:1: the file is empty, expected a Ruleset'],
  ['a second document', `${good}\n---\n${good}`, 'bad.yaml:2:1: found a second document'],
  [
    'an unknown key',
    rule('{ name: a, action: drop, port: 22 }'),
    'bad.yaml:6:32: rule "a": port: found the unknown key "port", expected "ports"',
  ],
  [
    'a wrong type',
    rule('{ name: a, action: drop, from: 10.0.0.1 }'),
    'bad.yaml:6:38: rule "a": from: found "10.0.0.1", expected a list',
  ],
  [
    'host bits',
    rule('{ name: a, action: drop, from: [10.1.2.3/8] }'),
    'bad.yaml:6:39: rule "a": from[0]: found "10.1.2.3/8": host bits are set',
  ],
  [
    'an IPv6 zone',
    rule('{ name: a, action: drop, from: ["fe80::1%lo"] }'),
    'from[0]: found "fe80::1%lo": an IPv6 zone',
  ],
  [
    'a name twice',
    rule('{ name: a, action: drop }\n    - { name: a, action: drop }'),
    'bad.yaml:7:15: rule "a": name: found a second rule of this name',
  ],
  ['a second ruleset of a name', good, 'metadata.name: found "good", which '],
  [
    'contradicting defaults',
    rulesetOf({ ...external, defaults: { ingress: 'drop' } }, 'bad'),
    'spec.defaults.ingress: found ',
  ],
  [
    '5 MB',
    '#'.repeat(5_000_000),
    'bad.yaml:1:1: found a file of 5000000 bytes, expected at most 1048576 (1 MiB)',
  ],
  [
    'binary',
    new Uint8Array([0, 1, 2, 255]),
    'bad.yaml:1:1: found bytes that are not UTF-8, expected a text file',
  ],
]

describe('bad input changes nothing that is in force, and the agent stays up', () => {
  let host: Host
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess
  let before: string

  beforeAll(async () => {
    host = await startHost()
    mount = await createMount({ 'good.yaml': good })
    agent = await startAgent(host, { rules: mount.folder })
    await agent.next(({ state }) => state === 'Enforcing')
    before = await readRules()
  })
  afterAll(async () => {
    expect(await agent.stop()).toBe(0)
    await mount.remove()
    await host.close()
  })

  async function readRules(): Promise<string> {
    const tables = await openTables(host)
    return JSON.stringify([[...(await tables.read('nft', 'ipv4'))], [...(await tables.read('nft', 'ipv6'))]])
  }

  async function expectComplaint(complaint: string): Promise<void> {
    // A pass may fall into the middle of what the test does to the folder.
    const line = await agent.next(
      ({ state, problems = [] }) =>
        state === 'Invalid' && (problems as string[]).join('\n').includes(complaint),
    )
    expect(line.msg).toContain('of before')
    expect(await readRules()).toBe(before)
  }

  async function repair(): Promise<void> {
    await mount.write({ 'good.yaml': good })
    agent.signal('SIGHUP')
    await agent.next(({ state }) => state === 'Enforcing')
  }

  test.each(inputs)('%s', async (_, content, complaint) => {
    await mount.write({ 'good.yaml': good, 'bad.yaml': content })
    await expectComplaint(complaint)
    await repair()
  })

  test('no file at all', async () => {
    await mount.write({})
    await expectComplaint('found no *.yaml file in this folder, expected at least one Ruleset')
    await repair()
  })

  test.each([
    [
      'a symlink loop',
      async (file: string) => symlink(file, file),
      'the file cannot be read: its symbolic links form a loop',
    ],
    [
      'a file that is gone when it is read',
      async (file: string) => symlink('nowhere', file),
      'the file cannot be read: it does not exist',
    ],
    [
      'a folder where a file should be',
      async (file: string) => symlink('/', file),
      'found a folder, expected a file',
    ],
    [
      'a pipe',
      async (file: string) => void (await promisify(execFile)('mkfifo', [file])),
      'found no file, expected a file',
    ],
    // Root may read everything, so what it cannot read is made by the kernel: the memory of a process at address 0.
    [
      'a file that cannot be read',
      async (file: string) => symlink('/proc/self/mem', file),
      'the file cannot be read',
    ],
  ])('%s', async (_, make, complaint) => {
    const file = join(mount.folder, '..data', 'bad.yaml')
    await rm(file, { force: true })
    await make(file)
    agent.signal('SIGHUP')
    await expectComplaint(complaint)
    await repair()
  })

  test('a folder that is gone, and comes back', async () => {
    await mount.remove()
    await expectComplaint('the folder cannot be read: it does not exist')
    await promisify(execFile)('mkdir', [mount.folder])
    await writeFile(join(mount.folder, 'good.yaml'), good)
    await agent.next(({ state }) => state === 'Enforcing')
    expect(await readRules()).toBe(before)
  })
})
