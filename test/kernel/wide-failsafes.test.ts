import { expect, test } from 'vitest'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import { openTables, rulesetOf } from './enforce.ts'
import { createKeeper } from './keep.ts'

const closed = { interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject', egress: 'reject' } }
const files = { 'worker.yaml': rulesetOf(closed) }
const cluster = {
  nodes: ['192.0.2.1', '2001:db8::1'].map(parseCidr),
  apiServers: ['198.51.100.10', '2001:db8::10'].map(parseCidr),
  podCIDRs: ['10.244.1.0/24'].map(parseCidr),
}

test.each(await usableBackends())(
  'failsafes in the kernel are as wide as they are to be, on iptables-%s',
  async (backend) => {
    const host = await startHost()
    const keep = await createKeeper(host, backend)
    const tables = await openTables(host)
    const kubelets = async () => {
      const table = await tables.read(backend, 'ipv4')
      const rules = [...table.values()].flatMap((chain) => chain.rules.map(({ text }) => text))
      return rules
        .filter((text) => text.includes('failsafe kubelet'))
        .map((text) => text.replace(/ -m comment.*/, ''))
    }
    const match = '-p tcp -m tcp --dport 10250'
    const narrow = ['nodes', 'apiServers', 'podCIDRs'].map(
      (set) => `${match} -m set --match-set node-firewall4-${set} src`,
    )
    const wide = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((network) => `-s ${network} ${match}`)

    await keep({ files, cluster, widens: true })
    expect(await kubelets()).toEqual(expect.arrayContaining([...narrow, ...wide]))
    const { appliedAt } = await keep({ files, cluster, widens: true })
    expect((await keep({ files, cluster, widens: true })).appliedAt).toBe(appliedAt)
    await keep({ files, cluster })
    expect(await kubelets()).toEqual(narrow)
    await keep({ files, cluster, widens: true })
    expect(await kubelets()).toEqual(expect.arrayContaining(wide))
    await host.close()
  },
)
