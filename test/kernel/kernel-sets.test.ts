import { expect, onTestFinished, test } from 'vitest'
import { readKernelSets, readRemembered } from '../../agent/daemon/kernel-sets.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { keepFamily } from '../../agent/netfilter/keep-family.ts'
import type { FamilyOutcome } from '../../agent/netfilter/keep-family.ts'
import type { Wanted } from '../../agent/policy/decide.ts'
import { formatCidr, parseCidr } from '../../agent/ruleset/address.ts'
import { policyOf } from '../policy/policy-of.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import { enforce, openTables, rulesetOf } from './enforce.ts'

const many = Array.from({ length: 30 }, (_, index) => `192.0.2.${index * 2}`)

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

test('sets of an agent before go with its rules, also when it was not known at first what is wanted', async () => {
  const host = await startHost()
  onTestFinished(async () => host.close())
  const [backend = 'nft'] = await usableBackends()
  await enforce(
    host,
    backend,
    rulesetOf({ interfaces: { external: ['eth0'] }, rules: [{ name: 'many', action: 'drop', from: many }] }),
  )
  const ipsets = createIpsets(host.exec)
  expect([...(await ipsets.read()).keys()]).toEqual([expect.stringContaining('node-firewall4-')])

  const tables = await openTables(host)
  const keep = async (last: FamilyOutcome | undefined, wanted: Wanted) =>
    keepFamily(last, {
      tables,
      ipsets,
      backend,
      family: 'ipv4',
      wanted,
      logTarget: 'nflog',
      rewrite: false,
      looksCloser: false,
      dryRun: false,
      mayWrite: async () => {},
      now: 0,
    })
  const first = await keep(undefined, { kind: 'whatever is there' })
  expect(first.seen?.sets).toBe(1)
  await keep(first, { kind: 'policy', policy: policyOf({}) })
  expect([...(await ipsets.read()).keys()]).toEqual([])
})
