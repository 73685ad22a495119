import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cutDenied } from '../../agent/conntrack/cut.ts'
import { judgeBy, viewOf } from '../../agent/conntrack/is-denied.ts'
import { listEntries } from '../../agent/conntrack/list-denied.ts'
import { noNamespaces } from '../../agent/conntrack/pod-namespaces.ts'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { enforce, rulesetOf } from './enforce.ts'

const external = { interfaces: { external: ['eth0'] } }
const backends = await usableBackends()

/** What stands beside a ruleset, be it another ruleset or rules of others, and must not change what it closes. */
describe.each(backends)('beside others on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => void (cluster = await createCluster({ backend })))
  afterAll(async () => cluster.close())

  type Way = readonly [from: 'internet' | 'pod', to: keyof typeof clusterAddress, port: number]

  async function outcomes([from, to, port]: Way): Promise<Outcome[]> {
    return Promise.all(
      families.map(async (family) =>
        cluster[from].probe({ protocol: 'tcp', address: clusterAddress[to][family], port }),
      ),
    )
  }

  /** Puts lines into the filter table of both families, as somebody else would. */
  async function restore(...lines: readonly string[]): Promise<void> {
    for (const program of ['iptables', 'ip6tables']) {
      const input = ['*filter', ...lines, 'COMMIT', ''].join('\n')
      await cluster.node.exec(`${program}-${backend}-restore`, ['--noflush', '--wait'], { input })
    }
  }

  test.each(['any', 'cni0'])('a ruleset in audit mode that calls %s external opens nothing', async (name) => {
    const closed = { ...external, defaults: { podEgress: 'reject', ingress: 'accept' } }
    const audited = { mode: 'audit', interfaces: { external: [name] }, defaults: { ingress: 'drop' } }
    await enforce(cluster.node, backend, rulesetOf(closed, 'closed'), rulesetOf(audited, 'audited'))
    expect(await outcomes(['pod', 'internet', 443])).toEqual(['refused', 'refused'])
  })

  const ways: readonly (readonly [name: string, spec: object, way: Way, lines: readonly string[]])[] = [
    [
      "Cilium's chain accepts what comes from pods",
      { defaults: { podEgress: 'reject' } },
      ['pod', 'internet', 443],
      [':CILIUM_FORWARD - [0:0]', '-A CILIUM_FORWARD -i cni+ -j ACCEPT', '-I FORWARD -j CILIUM_FORWARD'],
    ],
    [
      "Cilium's chain accepts what is routed to pods",
      { defaults: { ingress: 'reject' } },
      ['internet', 'node', 30_080],
      [':CILIUM_FORWARD - [0:0]', '-A CILIUM_FORWARD -o cni+ -j ACCEPT', '-I FORWARD -j CILIUM_FORWARD'],
    ],
    [
      'kube-proxy accepts ports for health checks',
      { defaults: { ingress: 'reject' } },
      ['internet', 'node', 32_100],
      ['-D INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS'].flatMap(
        (line) => [line, line.replace('-D', '-I')],
      ),
    ],
    [
      'a chain decides nothing, and does not come back',
      { defaults: { ingress: 'reject' } },
      ['internet', 'node', 22],
      [':GONE - [0:0]', '-A GONE -p tcp -m comment --comment seen', '-I INPUT -i eth0 -g GONE'],
    ],
  ]
  test.each(ways)('closed although %s', async (_, spec, way, lines) => {
    await enforce(cluster.node, backend, rulesetOf({ ...external, ...spec }))
    await restore(...lines)
    expect(await outcomes(way)).toEqual(['accepted', 'accepted'])
    await enforce(cluster.node, backend, rulesetOf({ ...external, ...spec }))
    expect(await outcomes(way)).toEqual(['refused', 'refused'])
  })

  test('connections of pods by interfaces that are not external are cut', async () => {
    const rule = { name: 'lan', direction: 'egress', endpoint: 'pods', action: 'drop', protocol: 'tcp' }
    await enforce(cluster.node, backend, rulesetOf({ ...external, defaults: { ingress: 'accept' } }))
    await outcomes(['pod', 'lan', 443])
    const denied = { ...external, rules: [{ ...rule, to: ['10.77.0.9', 'fd00:77::9'], interfaces: ['any'] }] }
    const policy = await enforce(cluster.node, backend, rulesetOf(denied))
    expect(await outcomes(['pod', 'lan', 443])).toEqual(['silence', 'silence'])
    for (const family of families) {
      const listed = async () =>
        [...(await listEntries(cluster.node.exec, family))].filter(
          ({ orig }) => orig.dst === clusterAddress.lan[family],
        ).length
      expect(await listed()).toBeGreaterThan(0)
      await cutDenied({
        exec: cluster.node.exec,
        family,
        isDenied: judgeBy(policy),
        node: viewOf(policy),
        findNamespaces: noNamespaces,
        pause: async () => {},
      })
      expect(await listed()).toBe(0)
    }
  })
})
