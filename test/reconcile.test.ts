import { expect, test } from 'vitest'
import { noTrials } from '../agent/confirm/trials.ts'
import { parseOnce } from '../agent/daemon/parse-once.ts'
import { OutsideError } from '../agent/errors.ts'
import { noSets } from '../agent/netfilter/ipset-read.ts'
import type { SavedTable } from '../agent/netfilter/saved-table.ts'
import { noMemory } from '../agent/pass.ts'
import type { Effects } from '../agent/pass.ts'
import { noClusterFacts } from '../agent/policy/policy.ts'
import { reconcile } from '../agent/reconcile.ts'
import { families } from '../agent/ruleset/address.ts'
import type { Family } from '../agent/ruleset/address.ts'
import { parseRulesets } from '../agent/ruleset/parse.ts'
import { rulesetOf } from './kernel/enforce.ts'
import { bare } from './bypass/bare.ts'

/** A node whose kernel takes whole tables, and no commit of the families that are refused. */
function createNode() {
  const kernel = new Map<Family, SavedTable>(families.map((family) => [family, new Map()]))
  const refused = new Set<Family>()
  const announced: string[] = []
  let text = ''
  let memory = noMemory
  const effects: Effects = {
    readSources: async () => [{ path: 'a.yaml', bytes: Buffer.from(text) }],
    parse: parseOnce(parseRulesets),
    labels: () => ({}),
    readFacts: async () => ({ external: ['eth0'], interfaces: ['lo', 'eth0'], addresses: [] }),
    clusterFacts: () => noClusterFacts,
    readDataplane: async () => bare,
    readFamilies: async () => families,
    detectBackend: async () => 'nft',
    tables: {
      read: async (backend, family) => (backend === 'nft' && kernel.get(family)) || new Map(),
      async restore(_, family, commit) {
        if (refused.has(family)) throw new OutsideError('the kernel refused it')
        kernel.set(family, apply(commit, kernel.get(family) ?? new Map()))
        return []
      },
    },
    ipsets: {
      read: async () => noSets,
      prepare: async () => false,
      destroyUnused: async () => ({ destroyed: [], inUse: [] }),
    },
    trials: noTrials,
    override: () => ({ problems: [] }),
    onNewRules: (_, written) => void announced.push(written.join(' and ')),
    lastCut: () => undefined,
    dryRun: false,
    now: () => new Date(0),
    elapsedMs: () => 0,
  }
  return {
    refused,
    announced,
    /** Somebody empties the table. */
    flush: (family: Family) => void kernel.set(family, new Map()),
    async pass(action?: string) {
      if (action !== undefined) text = rulesetOf({ defaults: { ingress: action } })
      ;({ memory } = await reconcile(memory, [{ reason: 'files' }], effects))
    },
  }
}

/** What iptables-restore makes of our commits: chains that are declared are empty, and rules stand at the end or first. */
function apply(commit: string, before: SavedTable): SavedTable {
  const rulesOf = new Map([...before].map(([name, { rules }]) => [name, rules.map(({ text }) => text)]))
  for (const line of commit.split('\n')) {
    const [, declared] = /^:(\S+)/.exec(line) ?? []
    const [, verb, chain = '', rule = ''] = /-([AID]) (\S+) (?:1 )?(.*)$/.exec(line) ?? []
    const rules = rulesOf.get(chain) ?? []
    if (declared !== undefined) rulesOf.set(declared, [])
    if (verb === 'A') rulesOf.set(chain, [...rules, rule])
    if (verb === 'I') rulesOf.set(chain, [rule, ...rules])
    if (verb === 'D') rulesOf.set(chain, rules.toSpliced(rules.indexOf(rule), 1))
  }
  const saved = (texts: readonly string[]) => texts.map((text) => ({ text, counters: '[0:0]' }))
  return new Map([...rulesOf].map(([name, texts]) => [name, { policy: '-', rules: saved(texts) }]))
}

test('what new rules deny is cut in each family once it has them, also where they were refused at first', async () => {
  const node = createNode()
  await node.pass('accept')
  await node.pass('drop')
  expect(node.announced).toEqual(['ipv4 and ipv6', 'ipv4 and ipv6'])
  node.refused.add('ipv6')
  await node.pass('reject')
  await node.pass()
  expect(node.announced.slice(2)).toEqual(['ipv4'])
  node.refused.clear()
  await node.pass()
  await node.pass()
  expect(node.announced.slice(2)).toEqual(['ipv4', 'ipv6'])
})

test('drift that is healed is no change of rules', async () => {
  const node = createNode()
  await node.pass('drop')
  node.flush('ipv4')
  await node.pass()
  expect(node.announced).toEqual(['ipv4 and ipv6'])
})
