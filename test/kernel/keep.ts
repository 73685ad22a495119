import { noTrials } from '../../agent/confirm/trials.ts'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import type { ClusterFacts } from '../../agent/policy/policy.ts'
import { reconcile } from '../../agent/reconcile.ts'
import { noMemory } from '../../agent/pass.ts'
import type { Memory, Trigger } from '../../agent/pass.ts'
import { families } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { Host } from '../sandbox/host.ts'
import { openTables } from './enforce.ts'
import { bare } from '../bypass/bare.ts'

export type Given = {
  /** Texts of files by their names: Rulesets, and the data files that they name. */
  readonly files: Readonly<Record<string, string>>
  readonly cluster?: ClusterFacts
  readonly reason?: Trigger['reason']
  /** Narrow failsafes have failed, or were not tried yet. */
  readonly widens?: boolean
}

/** One pass of the agent; rejects when anything is not as it should be after it. */
export type Keep = (given: Given) => Promise<Memory>

/** Runs passes on a host of the sandbox as the agent does, each with what the one before has left. */
export async function createKeeper(host: Host, backend: Backend): Promise<Keep> {
  const tables = await openTables(host)
  const ipsets = createIpsets(host.exec)
  let memory = noMemory
  return async ({ files, cluster = noClusterFacts, reason = 'files', widens = false }) => {
    const sources = Object.entries(files).map(([path, text]) => {
      const bytes = Buffer.from(text)
      return path.endsWith('.yaml') ? { path, bytes } : { path, bytes, kind: 'data' as const }
    })
    const result = await reconcile(memory, [{ reason }], {
      tables,
      ipsets,
      readSources: async () => sources,
      parse: parseRulesets,
      labels: () => ({}),
      readFacts: async () => readNodeFacts(host.exec),
      lastCut: () => undefined,
      clusterFacts: () => cluster,
      readFamilies: async () => families,
      readDataplane: async () => bare,
      detectBackend: async () => backend,
      dryRun: false,
      onNewRules: () => {},
      trials: { ...noTrials, choose: async () => ({ kind: 'candidate', widens }) },
      override: () => ({ problems: [] }),
      now: () => new Date(),
      elapsedMs: () => performance.now(),
    })
    memory = result.memory
    const { state, message, details } = result.status
    if (!['Enforcing', 'Off'].includes(state) || details.problems.length > 0) {
      throw new Error(`after a pass the state is ${state}: ${message}; ${details.problems.join('; ')}`)
    }
    return memory
  }
}
