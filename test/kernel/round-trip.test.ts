import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { parseProtocols } from '../../agent/netfilter/protocol-names.ts'
import { freshText } from '../../agent/netfilter/restore-text.ts'
import { createTables } from '../../agent/netfilter/tables.ts'
import { compareTable } from '../../agent/netfilter/compare.ts'
import { removeText } from '../../agent/netfilter/restore-text.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import { hasErrors, parseRulesets } from '../../agent/ruleset/parse.ts'
import { readFile } from 'node:fs/promises'
import { rulesetDocuments } from '../ruleset/arbitrary.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

const backends = await usableBackends()
const facts = {
  external: ['eth0', 'eth1'],
  interfaces: ['eth0', 'eth1', 'lo'],
  addresses: ['198.51.100.2', '2001:db8:1::2'].map(parseCidr),
  ports: { kubelet: 10_250, apiServer: 6443, etcd: 2379, etcdPeer: 2380 },
  tunnels: [
    { kind: 'bgp', protocols: [6], ports: [179], locals: [] },
    { kind: 'gretap', protocols: [47], locals: [] },
    { kind: 'ip6tnl', protocols: [4, 41], device: 'ip6tnl1', locals: [] },
    { kind: 'vxlan', protocols: [17], ports: [8472], device: 'od"d\\1', locals: [] },
    { kind: 'wireguard', protocols: [17], ports: [51_820, 51_821], device: 'wg0', locals: [] },
  ],
  resolvers: ['192.0.2.53', 'fe80::1'].map(parseCidr),
}
const cluster = {
  nodes: ['198.51.100.2', '198.51.100.3', '2001:db8:1::2'].map(parseCidr),
  apiServers: ['192.0.2.1'].map(parseCidr),
  podCIDRs: undefined,
}
const targets = ['nflog', 'kernel'] as const
let host: Host

beforeAll(async () => {
  host = await startHost()
})
afterAll(async () => host.close())

describe.each(backends)('on iptables-%s', (backend) => {
  test.each(families)('what is restored is what is saved, for any ruleset, %s', async (family) => {
    const protocols = parseProtocols(await readFile('/etc/protocols', 'utf8').catch(() => ''))
    const tables = createTables(host.exec, async () => ['filter'], protocols)
    const ipsets = createIpsets(host.exec)
    await fc.assert(
      fc.asyncProperty(rulesetDocuments(), fc.constantFrom(...targets), async (document, target) => {
        const parsed = parseRulesets([
          { path: 'generated.yaml', bytes: Buffer.from(JSON.stringify(document)) },
        ])
        fc.pre(!hasErrors(parsed.problems))
        const policy = resolvePolicy(parsed.rulesets, { facts, cluster, now: 0 })
        const desired = compilePolicy(policy, family, target)
        await ipsets.prepare(desired.sets, await ipsets.read())
        await tables.restore(backend, family, freshText(desired))
        const table = await tables.read(backend, family)
        for (const { name, rules } of desired.chains) {
          expect(table.get(name)?.rules.map(({ text }) => text)).toEqual(rules)
        }
        expect(compareTable(desired, table)).toEqual([])
        await tables.restore(backend, family, removeText(table))
        expect(compareTable(undefined, await tables.read(backend, family))).toEqual([])
        await ipsets.destroyUnused(new Set(), await ipsets.read())
        expect((await ipsets.read()).size).toBe(0)
      }),
      { numRuns: 60 },
    )
  })
})
