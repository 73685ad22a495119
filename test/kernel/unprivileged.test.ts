import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { inNetworkOf } from '../../agent/host/exec.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { StatusDetails } from '../../agent/status/status.ts'
import { addressOf, describeWay, waysOf } from '../differential/ways.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { attachBpf, passing } from '../sandbox/attach-bpf.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { confinedPid, confinedTo } from '../sandbox/confine.ts'
import { rulesetOf } from './enforce.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
/** Once a year, so that what is told of drift is what has set off the pass that healed it. */
const never = ['--verify-schedule', '0 0 0 1 1 *']
const enforcing = (line: LogLine) => line['state'] === 'Enforcing'
const written = (line: LogLine) => line.msg === 'rules written'

const many = Array.from({ length: 20 }, (_, at) => [`203.0.113.${at}`, `2001:db8:113::${at}`]).flat()
const rules = [
  { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22], from: ['clients'] },
  { name: 'web', action: 'accept', protocol: 'tcp', ports: [30_080, 8443], from: ['private'] },
  { name: 'dns', action: 'accept', protocol: 'udp', ports: [30_053] },
  { name: 'mirror', direction: 'egress', action: 'reject', protocol: 'tcp', ports: [443], to: ['private'] },
  { name: 'metadata', direction: 'egress', endpoint: 'pods', action: 'drop', to: ['metadata'] },
]
const closed = rulesetOf({
  sets: { clients: many },
  rules,
  defaults: { ingress: 'drop', podIngress: 'reject' },
})
const noRules = rulesetOf({ nodeSelector: { matchLabels: { 'kubernetes.io/hostname': 'another' } } })

describe.each(await usableBackends())('an agent without privileges on iptables-%s', (backend) => {
  let cluster: Cluster
  let mount: Awaited<ReturnType<typeof createMount>>
  let stateDir: string
  let agent: AgentProcess
  let privileged: readonly string[]
  beforeAll(async () => {
    cluster = await createCluster({ backend })
    // The kernel sends a client about one ICMP error a second, and each refusal counts here.
    const limits = ['ipv4/icmp_ratelimit', 'ipv6/icmp/ratelimit'].map((limit) => `/proc/sys/net/${limit}`)
    await cluster.node.exec('sh', ['-c', limits.map((limit) => `echo 0 > ${limit}`).join(' && ')])
    for (const hook of ['xdp', 'tc', 'tcx'] as const) {
      await attachBpf(cluster.node, hook, 'eth0', { name: `a_${hook}`, instructions: passing(hook) })
    }
    mount = await createMount({ 'worker.yaml': closed })
    stateDir = await mkdtemp(join(tmpdir(), 'node-firewall-state-'))
    const before = await startAgent(cluster.node, { rules: mount.folder, args: ['--backend', backend] })
    await before.next(enforcing)
    privileged = await verdicts()
    await mount.write({ 'worker.yaml': noRules })
    await before.next(({ state }) => state === 'Off')
    await before.stop()
    await mount.write({ 'worker.yaml': closed })
    agent = await startConfined()
    await agent.next(enforcing)
  }, 180_000)
  afterAll(async () => {
    await agent.stop()
    await mount.remove()
    await cluster.close()
    await rm(stateDir, { recursive: true })
  })

  async function startConfined(): Promise<AgentProcess> {
    const setting = { rules: mount.folder, stateDir, confined: true, args: ['--backend', backend, ...never] }
    return startAgent(cluster.node, setting)
  }

  /** What becomes of a connection on every way past the node. */
  async function verdicts(): Promise<string[]> {
    await cluster.node.exec('conntrack', ['--flush'])
    const probes = waysOf('routed').flatMap((way) =>
      families.map(async (family) => {
        const { client, protocol, dialled } = way
        const [place, port] = dialled
        const outcome = await cluster[client].probe({ protocol, address: addressOf(place, family), port })
        return `${describeWay(way)}, ${family}: ${outcome}`
      }),
    )
    return Promise.all(probes)
  }

  async function details(): Promise<StatusDetails> {
    return JSON.parse((await agent.status())['node-firewall.io/status'] ?? '') as StatusDetails
  }

  /** The kernel tells of changes from the moment on at which the agent has begun to listen. */
  async function hearsOthers(): Promise<void> {
    await cluster.node.exec('iptables-nft', ['-A', 'INPUT', '-s', '192.0.2.99'])
    expect(agent.log.some(({ reasons }) => String(reasons).includes('drift'))).toBe(true)
  }

  test('has two capabilities and no more, no way to others, and no process of the host', async () => {
    const status = await readFile(`/proc/${confinedPid(agent.pid)}/status`, 'utf8')
    const fields = new Map(status.split('\n').map((line) => line.split(':\t') as [string, string]))
    const wanted = {
      CapEff: '3000',
      CapPrm: '3000',
      CapBnd: '3000',
      CapInh: '0',
      NoNewPrivs: '1',
      Seccomp: '2',
    }
    const found = Object.keys(wanted).map((name) => [name, fields.get(name)?.replace(/^0+(?=.)/, '')])
    expect(Object.fromEntries(found)).toEqual(wanted)
    expect(fields.get('NSpid')?.split('\t').at(-1)).toBe('1')
  })

  test('lets pass and denies what an agent with privileges does', async () => {
    const found = await verdicts()
    expect(found).toEqual(privileged)
    const ends = [' accepted', ' refused', ' silence']
    for (const end of ends) expect(found.filter((line) => line.endsWith(end)).length).toBeGreaterThan(10)
  })

  /** Runs a command where the agent is, as `kubectl exec` does. */
  async function run(...args: readonly string[]) {
    const [program, ...before] = confinedTo([stateDir])
    const command = [process.execPath, main, ...args, '--target-pid', 'self']
    const inside = inNetworkOf(cluster.node.pid, program, [...before, ...command])
    const { exitCode, stdout } = await execa(inside.file, inside.args, { reject: false })
    return { exitCode, stdout }
  }

  test('is verified by a command in the same place', async () => {
    const where = ['--standalone', '--node', 'test-node', '--rules', mount.folder, '--backend', backend]
    const inSync = { exitCode: 0, stdout: 'ipv4: in sync\nipv6: in sync' }
    expect(await run('verify', ...where)).toEqual(inSync)
  })

  test('says once what it cannot see, and nothing of what it need not', async () => {
    const { warnings, notEnforceable, problems } = await details()
    expect(warnings).toEqual([expect.stringMatching(/^BPF programs \(tcx\) on eth0 cannot be looked for/)])
    expect(notEnforceable.map((text) => text.replace(/ sees packets .*/, ''))).toEqual([
      'a BPF program without a name (xdp) on eth0',
      expect.stringMatching(/^(the BPF program \S+|a BPF program without a name) \(tc\) on eth0/),
    ])
    expect(problems).toEqual([])
    const complaints = agent.log.filter(({ level }) => level === 'warn' || level === 'error')
    expect(complaints).toEqual([])
  })

  test('heals drift, and names who made it', async () => {
    const times = agent.log.filter(written).length
    const pass = async () => {
      agent.signal('SIGHUP')
      await agent.next(({ reasons }) => String(reasons).includes('signal'))
    }
    if (backend === 'nft') await vi.waitFor(hearsOthers, { timeout: 30_000, interval: 200 })
    await cluster.node.exec(`iptables-${backend}`, ['-F', 'node-firewall'])
    if (backend === 'legacy') agent.signal('SIGHUP')
    await agent.next(written)
    await agent.next(enforcing)
    expect(await verdicts()).toEqual(privileged)
    const { drift } = await details()
    expect(drift.last).toMatchObject({ healed: true })
    if (backend === 'nft') expect(drift.last?.by).toMatch(/^iptables-nft \(pid \d{3,}\)$/)
    // What it writes itself is told by the kernel too, and must lead to nothing.
    await pass()
    await pass()
    expect(agent.log.filter(written)).toHaveLength(times + 1)
    expect((await details()).drift.count).toBe(drift.count)
  })

  test('writes nothing when it is started again, and leaves its rules at the end', async () => {
    expect(await agent.stop()).toBe(0)
    agent = await startConfined()
    await agent.next(enforcing)
    expect(agent.log.filter(written)).toEqual([])
    expect(await verdicts()).toEqual(privileged)
  })

  test('is cleaned up after by a command in the same place', async () => {
    await agent.stop()
    const { exitCode, stdout } = await run('clean', '--state-dir', stateDir, '--lock-file', 'off')
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`iptables-${backend} ipv6: removed; read back: nothing of node-firewall is left`)
    expect(stdout).toContain('read back: none is left')
    for (const program of [`iptables-${backend}-save`, `ip6tables-${backend}-save`, 'ipset']) {
      const { stdout: left } = await cluster.node.exec(program, program === 'ipset' ? ['save'] : [])
      expect(left).not.toContain('node-firewall')
    }
  })
})
