import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { askPage, scrape } from '../sandbox/scrape.ts'
import type { Scrape } from '../sandbox/scrape.ts'
import { findPageProblems, hasPromtool } from '../manifests/promtool.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

const url = 'http://192.168.133.7:10269/metrics'
const rules = [
  { name: 'ssh', action: 'accept', protocol: 'tcp', ports: [22] },
  { name: 'few', action: 'accept', protocol: 'tcp', ports: [25], limit: { rate: '1/hour', burst: 2 } },
  { name: 'old', action: 'drop', protocol: 'tcp', ports: [23], audit: true },
]
const probes = [{ name: 'internet', icmp: clientAddress.internet.ipv4, timeout: '10s' }]
const open = rulesetOf({ defaults: { egress: 'accept' } })
const closed = rulesetOf({ rules, defaults: { ingress: 'reject' } })

const component = join(import.meta.dirname, '../../manifests/components/monitoring')
const monitoring = await readFile(join(component, 'monitoring.yaml'), 'utf8')
const enforcing = (line: LogLine) => line['state'] === 'Enforcing'

const backends = await usableBackends()

describe.each(backends)('metrics of the agent on iptables-%s', (backend) => {
  let sandbox: Sandbox
  let mount: Awaited<ReturnType<typeof createMount>>
  let shims: Awaited<ReturnType<typeof createShims>>
  let agent: AgentProcess

  beforeEach(async () => {
    mount = await createMount({ 'worker.yaml': closed, 'monitoring.yaml': monitoring })
    sandbox = await createSandbox()
    shims = await createShims()
    for (const port of [22, 23, 25]) await sandbox.node.listen('tcp', port)
    const args = ['--backend', backend, '--metrics-address', '192.168.133.7:10269', '--confirm-deadline', '1']
    agent = await startAgent(sandbox.node, { rules: mount.folder, inNetwork: true, args, env: shims.env })
    await agent.next(enforcing)
  })
  afterEach(async () => {
    await agent.stop()
    await shims.remove()
    await mount.remove()
    await sandbox.close()
  })

  const ask = async () => scrape(sandbox.private, url)
  const knock = async (family: 'ipv4' | 'ipv6', port: number) =>
    sandbox.internet.probe({ protocol: 'tcp', address: nodeAddress[family], port, silenceMs: 150 })
  const packets = (page: Scrape, rule: string, action: string, family = 'ipv4') =>
    page.get(
      `node_firewall_rule_packets_total{family="${family}",ruleset="test",rule="${rule}",action="${action}"}`,
    )
  const denied = (page: Scrape, family: string) =>
    page.get(`node_firewall_default_packets_total{family="${family}",flow="ingress",action="reject"}`)

  test('counters of rules and defaults say what was sent', async () => {
    for (const family of families) expect(await knock(family, 22)).toBe('accepted')
    expect(await knock('ipv4', 22)).toBe('accepted')
    for (const port of [80, 81, 23]) expect(await knock('ipv4', port)).toBe('refused')
    expect(await knock('ipv6', 80)).toBe('refused')
    for (const expected of ['accepted', 'accepted', 'silence']) expect(await knock('ipv4', 25)).toBe(expected)
    const page = await ask()
    expect([packets(page, 'ssh', 'accept'), packets(page, 'ssh', 'accept', 'ipv6')]).toEqual([2, 1])
    expect([packets(page, 'few', 'accept'), packets(page, 'few', 'limit')]).toEqual([2, 1])
    expect(packets(page, 'old', 'audit')).toBe(1)
    expect([denied(page, 'ipv4'), denied(page, 'ipv6')]).toEqual([3, 1])
    const bytes = 'node_firewall_rule_bytes_total{family="ipv4",ruleset="test",rule="ssh",action="accept"}'
    expect(page.get(bytes)).toBeGreaterThanOrEqual(2 * 40)
    expect([...page.keys()].filter((key) => key.includes('failsafe'))).toEqual([])
    const text = await askPage(sandbox.node, url)
    if (hasPromtool()) expect(await findPageProblems(text)).toBe('')
    const documented = await readDocs()
    const told = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`)
    expect(documented).toEqual(expect.arrayContaining(told))
    expect(documented.filter((metric) => !told.includes(metric))).toEqual([
      'node_firewall_set_entries gauge',
      'node_firewall_not_enforceable_info gauge',
      'node_firewall_command_failures_total counter',
    ])

    expect(await knock('ipv4', 10_269)).toBe('refused')
    await mount.write({ 'open.yaml': open })
    await agent.next(({ msg }) => msg === 'rules written')
    await agent.next(enforcing)
    // Now the rules let everybody in, but the agent answers private networks and the node alone.
    await expect(askPage(sandbox.internet, url)).rejects.toThrow('running')
    expect(await askPage(sandbox.private, url)).toContain('node_firewall_state')
  })

  // What is told of passes is the same on both.
  test.runIf(backend === backends[0])(
    'tells the state, drift and what it cost, and what was taken back',
    async () => {
      const before = await ask()
      expect(before.get('node_firewall_state{state="Enforcing"}')).toBe(1)
      expect(before.get('node_firewall_state{state="Degraded"}')).toBe(0)
      expect(before.get('node_firewall_in_force{family="ipv6"}')).toBe(1)
      expect(before.get('node_firewall_rollbacks_total')).toBe(0)
      const age = Date.now() / 1000 - (before.get('node_firewall_last_verified_timestamp_seconds') ?? 0)
      expect(age).toBeGreaterThanOrEqual(0)
      expect(age).toBeLessThan(60)

      await sandbox.node.exec(`iptables-${backend}`, ['-F', 'node-firewall'])
      agent.signal('SIGHUP')
      await agent.next(({ kind }) => kind === 'chain-changed')
      await agent.next(enforcing)
      const healed = await ask()
      expect(healed.get('node_firewall_drift_total{kind="chain-changed"}')).toBe(1)
      const written = 'node_firewall_passes_total{result="written"}'
      expect(healed.get(written)).toBeGreaterThan(before.get(written) ?? Infinity)
      expect(healed.get('node_firewall_apply_duration_seconds_count')).toBe(1)
      expect(healed.get('node_firewall_apply_duration_seconds_bucket{le="+Inf"}')).toBe(1)

      const cutOff = {
        name: 'cut off',
        direction: 'egress',
        action: 'drop',
        to: [clientAddress.internet.ipv4],
      }
      await mount.write({
        'monitoring.yaml': monitoring,
        'worker.yaml': rulesetOf({ rules: [...rules, cutOff], probes, defaults: { ingress: 'reject' } }),
      })
      await agent.next(({ state }) => state === 'RolledBack')
      const rolledBack = await ask()
      expect(rolledBack.get('node_firewall_rollbacks_total')).toBe(1)
      expect(rolledBack.get('node_firewall_state{state="RolledBack"}')).toBe(1)
      expect(rolledBack.get('node_firewall_state{state="Enforcing"}')).toBe(0)
    },
  )

  test('where reading fails, counters of that family are left out', async () => {
    await shims.put(`iptables-${backend}-save`, 'echo "no memory" >&2; exit 4')
    const page = await ask()
    expect(packets(page, 'ssh', 'accept')).toBeUndefined()
    expect(denied(page, 'ipv4')).toBeUndefined()
    expect(packets(page, 'ssh', 'accept', 'ipv6')).toBe(0)
    expect(page.get('node_firewall_rule_read_errors_total{family="ipv4"}')).toBe(1)
    expect(page.get('node_firewall_rule_read_errors_total{family="ipv6"}')).toBe(0)
    const failed = `node_firewall_command_failures_total{program="iptables-${backend}-save"}`
    expect(page.get(failed)).toBeGreaterThanOrEqual(1)
    agent.signal('SIGHUP')
    await agent.next(({ state }) => state === 'Degraded')
    const degraded = await ask()
    expect(degraded.get('node_firewall_state{state="Degraded"}')).toBe(1)
    expect(degraded.get('node_firewall_in_force{family="ipv4"}')).toBe(0)
  })
})

/** Names and types of the table in the docs. */
async function readDocs(): Promise<string[]> {
  const text = await readFile(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  return [...text.matchAll(/^\| `(\w+)` +\| (\w+)/gm)].map(([, name, type]) => `${name} ${type}`)
}
