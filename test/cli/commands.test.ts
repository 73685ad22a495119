import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMount } from '../sandbox/agent.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const lke = 'rulesets/lke-worker/lke-worker.yaml'

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], { reject: false, env })
  return { exitCode, stdout, stderr }
}

describe('a command line that makes no sense is an error that says why, with exit code 2', () => {
  test.each([
    ['an unknown command', ['frobnicate'], /unknown command 'frobnicate'/],
    ['an unknown flag', ['agent', '--bogus'], /unknown option '--bogus'/],
    ['a misspelt flag', ['agent', '--standalon'], /Did you mean --standalone\?/],
    ['no paths', ['lint'], /missing required argument 'path'/],
    [
      'a pid that is none',
      ['agent', '--target-pid', 'x'],
      /argument 'x' is invalid. expected the number of a process, or self/,
    ],
    ['a backend that is none', ['agent', '--backend', 'bpf'], /Allowed choices are auto, nft, legacy/],
    ['a schedule that is none', ['agent', '--verify-schedule', 'often'], /expected a cron expression/],
    ['a log level that is none', ['agent', '--log-level', 'loud'], /Allowed choices are/],
    ['an address that is none', ['agent', '--health-address', 'here'], /expected HOST:PORT or off/],
    ['an address for metrics that is none', ['agent', '--metrics-address', '9'], /expected HOST:PORT or off/],
    [
      'clients that are none',
      ['agent', '--metrics-clients', '10.0.0.1/8'],
      /host bits are set; write 10.0.0.0\/8/,
    ],
    ['a family that is none', ['render', lke, '--family', 'ipx'], /Allowed choices are ipv4, ipv6/],
    ['no rulesets to wait for', ['wait'], /required option '--ruleset <path...>' not specified/],
    ['a time that is none', ['wait', '--ruleset', lke, '--timeout', '5'], /expected a time, such as 90s, 5m/],
    ['a state that is not waited for', ['wait', '--ruleset', lke, '--for', 'Off'], /Allowed choices are/],
    ['a node and a selector', ['status', 'worker-1', '-l', 'a=b'], /expected one of them/],
    ['neither a Node nor standalone', ['agent'], /give --node NAME.* or --standalone/],
    [
      'a Node that cannot be read',
      ['render', lke, '--node', 'nowhere.yaml'],
      /reading the node from nowhere.yaml: /,
    ],
    [
      'a Node that is none',
      ['render', lke, '--node', lke],
      /expected a Node, as "kubectl get node NAME -o yaml"/,
    ],
    [
      'interfaces nobody knows',
      ['render', lke],
      /"external: auto", which only the node knows: give --external/,
    ],
  ])('%s', async (_, args, complaint) => {
    const { exitCode, stdout, stderr } = await run(args)
    expect(stderr).toMatch(complaint)
    expect(stdout).toBe('')
    expect(exitCode).toBe(2)
  })

  test('a switch in the environment that is neither true nor false', async () => {
    const { exitCode, stderr } = await run(['agent'], { NODE_FIREWALL_STANDALONE: 'yes' })
    expect(stderr).toContain('NODE_FIREWALL_STANDALONE is "yes", expected true or false')
    expect(exitCode).toBe(2)
  })
})

test('version and help', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }
  expect(await run(['version'])).toEqual({ exitCode: 0, stdout: version, stderr: '' })
  const help = await run(['help'])
  expect(help.exitCode).toBe(0)
  for (const command of ['agent', 'lint', 'render', 'verify', 'status', 'wait', 'clean', 'version'])
    expect(help.stdout).toContain(command)
})

describe('lint', () => {
  test('says nothing of sound files, and finds those of a folder by itself', async () => {
    expect(await run(['lint', 'rulesets/lke-worker'])).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  })

  test('prints each problem on a line, or all as JSON, and fails', async () => {
    const mount = await createMount({ 'a.yaml': 'kind: Ruleset\n', 'b.yaml': 'a: [' })
    const files = ['a.yaml', 'b.yaml'].map((name) => join(mount.folder, name))
    const plain = await run(['lint', ...files])
    expect(plain.exitCode).toBe(1)
    const lines = plain.stdout.split('\n')
    expect(lines).toHaveLength(4)
    for (const line of lines) expect(line).toMatch(/\/[ab]\.yaml:\d+:\d+: \S/)
    const json = await run(['lint', '--json', ...files])
    expect(json.exitCode).toBe(1)
    expect(JSON.parse(json.stdout)[0]).toEqual({
      path: files[0],
      line: 1,
      column: 1,
      severity: 'error',
      message: 'apiVersion: found nothing, expected node-firewall.io/v1',
    })
    await mount.remove()
  })

  test('reads links in a folder as the agent does, and a mounted ConfigMap once', async () => {
    const mount = await createMount({ 'a.yaml': await readFile(lke, 'utf8'), 'b.yaml': 'a: [' })
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-links-'))
    onTestFinished(async () => {
      await Promise.all([mount.remove(), rm(folder, { recursive: true })])
    })
    const mounted = await run(['lint', mount.folder])
    expect([mounted.exitCode, mounted.stdout]).toEqual([1, expect.stringMatching(/^\S+\/b\.yaml:1:\d+: .*$/)])

    await symlink(join(mount.folder, 'b.yaml'), join(folder, 'link.yaml'))
    await symlink('nowhere', join(folder, 'gone.yaml'))
    const { exitCode, stdout } = await run(['lint', folder])
    expect(exitCode).toBe(1)
    expect(stdout.split('\n')).toEqual([
      `${folder}/gone.yaml:1:1: the file cannot be read: it does not exist`,
      expect.stringMatching(/\/link\.yaml:1:\d+: /),
    ])
  })

  test('a folder without a Ruleset is an error, as it is to the agent', async () => {
    const { exitCode, stdout } = await run(['lint', 'rulesets/lke-worker', 'docs'])
    expect(exitCode).toBe(1)
    expect(stdout).toBe('docs:1:1: found no *.yaml file in this folder, expected at least one Ruleset')
  })

  test('warns when nothing is closed, which is no failure', async () => {
    const { exitCode, stdout } = await run(['lint', 'rulesets/ssh-bastion'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain('warning: nothing is closed: no ruleset sets a default to drop or reject')
  })

  test('a file that is not there is an error of that file', async () => {
    const { exitCode, stdout } = await run(['lint', 'nowhere.yaml'])
    expect(exitCode).toBe(1)
    expect(stdout).toBe('nowhere.yaml:1:1: the file cannot be read: it does not exist')
  })
})

describe('render', () => {
  test.each(['ipv4', 'ipv6'])('prints exactly what would be restored: lke-worker, %s', async (family) => {
    const { exitCode, stdout } = await run(['render', lke, '--external', 'eth0', '--family', family])
    expect(exitCode).toBe(0)
    await expect(`${stdout}\n`).toMatchFileSnapshot(`golden/lke-worker.${family}.txt`)
  })

  test('takes labels and interfaces from the Node', async () => {
    const status = JSON.stringify({ interfaces: { external: ['ens5'] } })
    const node = {
      kind: 'Node',
      metadata: {
        labels: { 'node-role.kubernetes.io/control-plane': '' },
        annotations: { 'node-firewall.io/status': status },
      },
    }
    const mount = await createMount({ 'node.yaml': JSON.stringify(node) })
    const paths = ['kubernetes-worker', 'kubernetes-control-plane'].map((name) => `rulesets/${name}`)
    const { exitCode, stdout } = await run(['render', ...paths, '--node', join(mount.folder, 'node.yaml')])
    await mount.remove()
    expect(exitCode).toBe(0)
    expect(stdout).toContain(
      '-i ens5 -p tcp -m tcp --dport 6443 -m comment --comment "kubernetes-control-plane/api server" -j RETURN',
    )
    expect(stdout).not.toContain('kubernetes-worker')
  })

  test('wants the Node when a nodeSelector needs it', async () => {
    const { exitCode, stderr } = await run(['render', 'rulesets/kubernetes-worker', '--external', 'eth0'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('a ruleset has a nodeSelector: give the node with --node FILE')
  })
})
