import { expect, onTestFinished, test } from 'vitest'
import { readKernelSets, readRemembered } from '../../agent/daemon/kernel-sets.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { formatCidr, parseCidr } from '../../agent/ruleset/address.ts'
import { startHost } from '../sandbox/host.ts'

test('an agent that starts reads what its sets hold, whatever else somebody has put there', async () => {
  const host = await startHost()
  onTestFinished(async () => host.close())
  await host.exec('ipset', ['restore'], {
    input: [
      'create node-firewall4-nodes hash:net family inet',
      'add node-firewall4-nodes 10.0.0.5',
      'add node-firewall4-nodes 10.0.0.6 nomatch',
      'create node-firewall6-nodes hash:net family inet6',
      'add node-firewall6-nodes fd00::/64',
      'create node-firewall4-apiServers hash:ip,port family inet',
      'add node-firewall4-apiServers 10.0.0.5,tcp:80',
      '',
    ].join('\n'),
  })
  const ipsets = createIpsets(host.exec)
  const { nodes, apiServers } = await readKernelSets(ipsets)
  expect([nodes?.map(formatCidr), apiServers]).toEqual([['10.0.0.5/32', 'fd00::/64'], undefined])
  const own = ['10.0.0.5', '10.0.0.6'].map(parseCidr)
  expect(await readRemembered(ipsets, own)).toEqual({ nodes: [own[0]] })
})
