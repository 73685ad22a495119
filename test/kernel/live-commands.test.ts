import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { digestOf } from '../../agent/confirm/candidate.ts'
import { readRulesetFiles } from '../../agent/host/ruleset-files.ts'
import { openStateFolder } from '../../agent/host/state-folder.ts'
import { unreadClusterFacts } from '../../agent/policy/policy.ts'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { startApiServer } from '../cluster/api-server.ts'
import { createMount } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { rulesetOf } from './enforce.ts'
import { createKeeper } from './keep.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const closed = rulesetOf({ interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } })
const cluster = {
  nodes: ['192.0.2.1', '2001:db8::1'].map(parseCidr),
  apiServers: ['198.51.100.10'].map(parseCidr),
  podCIDRs: ['10.244.1.0/24'].map(parseCidr),
}
const files = { 'worker.yaml': closed }

describe.each(await usableBackends())('commands on a node of a cluster, iptables-%s', (backend) => {
  let host: Host
  let mount: Awaited<ReturnType<typeof createMount>>
  let env: NodeJS.ProcessEnv = {}
  beforeAll(async () => {
    host = await startHost()
    mount = await createMount(files)
    await host.exec('ip', 'link add pods type vxlan id 7 dstport 8472'.split(' '))
    await host.exec('ip', 'link set pods up'.split(' '))
  })
  afterAll(async () => {
    await mount.remove()
    await host.close()
  })

  async function run(...args: readonly string[]) {
    const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], {
      env,
      reject: false,
    })
    return { exitCode, stdout, stderr }
  }
  const live = () => ['--target-pid', String(host.pid)]
  const verify = async () =>
    run('verify', ...live(), '--standalone', '--rules', mount.folder, '--backend', backend)
  const inSync = { exitCode: 0, stdout: 'ipv4: in sync\nipv6: in sync', stderr: '' }

  test('what was not read of the cluster is not known to them either', async () => {
    const keep = await createKeeper(host, backend)
    await keep({ files, cluster: unreadClusterFacts })
    expect(await verify()).toEqual(inSync)
    const { stdout } = await run('render', mount.folder, ...live(), '--family', 'ipv4')
    expect(stdout).toContain(
      '-s 10.0.0.0/8 -p udp -m udp --dport 8472 -m comment --comment "failsafe tunnels: vxlan 8472 of pods; nodes not known" -j RETURN',
    )
  })

  test('what the kernel holds of the cluster is known to them', async () => {
    const keep = await createKeeper(host, backend)
    await keep({ files, cluster })
    expect(await verify()).toEqual(inSync)
    const { stdout } = await run('render', mount.folder, ...live(), '--family', 'ipv4')
    const tunnels = stdout.split('\n').filter((line) => line.includes('8472'))
    expect(tunnels).toEqual([
      '-A node-firewall -p udp -m udp --dport 8472 -m set --match-set node-firewall4-nodes src -m comment --comment "failsafe tunnels: vxlan 8472 of pods" -j RETURN',
    ])
    const asked = ['--from', '192.0.2.1', '--to', '192.0.2.9', '--proto', 'udp', '--port', '8472']
    const explained = await run('explain', mount.folder, ...live(), ...asked)
    expect(explained.stdout).toContain('because: ingress: failsafe tunnels (vxlan 8472 of pods) says accept')
  })

  test('verify compares with what was confirmed before, when the files were rolled back', async () => {
    const keep = await createKeeper(host, backend)
    await keep({ files, cluster })
    const bad = await createMount({ 'worker.yaml': closed.replace('reject', 'drop') })
    const state = await mkdtemp(join(tmpdir(), 'node-firewall-state-'))
    const [good, tried] = await Promise.all([mount, bad].map(async ({ folder }) => readRulesetFiles(folder)))
    const [confirmed = '', hash = ''] = [good, tried].map((some = []) =>
      hashRulesets(parseRulesets(some).rulesets),
    )
    const kept = openStateFolder(state)
    const at = '2026-01-01T00:00:00.000Z'
    await kept.saveLastGood({ hash: confirmed, files: good ?? [], labels: {}, confirmedAt: at })
    const compare = async () =>
      run(
        'verify',
        ...live(),
        '--standalone',
        '--rules',
        bad.folder,
        '--backend',
        backend,
        '--state-dir',
        state,
      )
    const quarantined = { hash, text: digestOf(tried ?? []), probe: 'lease', reason: 'not renewed', at }
    await kept.saveJournal({ quarantined: [{ ...quarantined, text: 'of another file' }] })
    expect((await compare()).exitCode).toBe(3)
    await kept.saveJournal({ quarantined: [quarantined] })
    const why = `ruleset ${hash} was rolled back, lease failed: not renewed; compared with what was confirmed before: ${confirmed}`
    expect(await compare()).toEqual({ ...inSync, stdout: `${why}\n${inSync.stdout}` })

    await kept.saveJournal({ quarantined: [quarantined], mode: 'off' })
    const overridden = await compare()
    expect(overridden.exitCode).toBe(3)
    expect(overridden.stdout).toMatch(/^compared with mode off, by order of the annotation/)
    expect((await readdir(state)).toSorted()).toEqual(['journal', 'last-good'])

    await bad.write({ 'worker.yaml': rulesetOf({ defaults: { ingress: 'drop' } }) })
    await kept.saveJournal({ quarantined: [], mode: 'audit' })
    expect(await compare()).toMatchObject({ exitCode: 4 })
    await Promise.all([bad.remove(), rm(state, { recursive: true })])
  })

  test('in the pod of an agent, the labels are those of its Node', async () => {
    const server = await startApiServer({ node: 'a' })
    onTestFinished(async () => server.close())
    server.createNode('a', { pool: 'web' })
    const nodeSelector = { matchLabels: { pool: 'web' } }
    const text = rulesetOf({
      nodeSelector,
      interfaces: { external: ['eth0'] },
      defaults: { ingress: 'reject' },
    })
    const selected = await createMount({ 'worker.yaml': text })
    onTestFinished(async () => selected.remove())
    const rendered = async () => run('render', selected.folder, ...live(), '--family', 'ipv4')
    expect((await rendered()).exitCode).toBe(2)
    env = { KUBECONFIG: server.kubeconfigFile, NODE_FIREWALL_NODE: 'a' }
    onTestFinished(() => void (env = {}))
    expect((await rendered()).stdout).toContain('-A node-firewall ')
    server.changeNode('a', { labels: { pool: 'db' } })
    expect((await rendered()).stdout).toBe('# no ruleset selects this node: nothing is restored')
  })

  test('a node without a default route is told of in one line', async () => {
    const automatic = await createMount({ 'worker.yaml': rulesetOf({ defaults: { ingress: 'reject' } }) })
    onTestFinished(async () => automatic.remove())
    const { exitCode, stderr } = await run('render', automatic.folder, ...live())
    expect([exitCode, stderr]).toEqual([
      2,
      'error: resolving "external: auto" of ruleset test: no interface holds a default route; ' +
        'name the interfaces instead, or give --external',
    ])
  })

  test('who is in a set can be said instead', async () => {
    const asked = ['--external', 'eth0', '--from', '192.0.2.7', '--to', '192.0.2.9', '--port', '10250']
    const sets = ['--set', 'nodes=192.0.2.7', '--set', 'apiServers=192.0.2.8']
    const explained = await run('explain', mount.folder, ...asked, ...sets)
    expect(explained.stdout).toContain('failsafe kubelet (none seen, so 10250) says accept')
    const rendered = await run('render', mount.folder, '--external', 'eth0', '--family', 'ipv4', ...sets)
    expect(rendered.stdout).toContain('add node-firewall4-nodes-new 192.0.2.7')
  })

  test('lint tells where rules for pods are left nothing', async () => {
    const text = 'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: NAME }\nspec:\n'
    const spec = '  interfaces: { external: [any] }\n  defaults: { ingress: drop }\n'
    const other = await createMount({
      'a.yaml': `${text.replace('NAME', 'a')}${spec}`,
      'b.yaml': `${text.replace('NAME', 'b')}  defaults: { podEgress: drop }\n`,
    })
    const { stdout } = await run('lint', other.folder)
    await other.remove()
    expect(stdout).toMatch(
      /^\S+a\.yaml:3:19: warning: interfaces\.external is any, .*: rules .* match nothing; /,
    )
    expect(stdout.split('\n')).toHaveLength(1)
  })

  test('lint tells where a failsafe is switched off', async () => {
    const text = 'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: a }\nspec:\n'
    const other = await createMount({
      'a.yaml': `${text}  defaults: { ingress: drop }\n  failsafe: { kubelet: off }\n`,
    })
    const { exitCode, stdout } = await run('lint', join(other.folder, 'a.yaml'))
    await other.remove()
    expect(stdout).toBe(
      `${other.folder}/a.yaml:6:24: warning: failsafe kubelet is switched off: API servers can lose this kubelet, ` +
        'and with it logs, exec and metrics, unless a rule accepts it',
    )
    expect(exitCode).toBe(0)
  })
})
