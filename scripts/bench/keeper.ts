import { noTrials } from '../../agent/confirm/trials.ts'
import { openNetwork } from '../../agent/daemon/node.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { reconcile } from '../../agent/reconcile.ts'
import { noMemory } from '../../agent/pass.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { Host } from '../../test/sandbox/host.ts'

/** One pass of the agent, in this process; resolves to the families it wrote to and how long it took in ms. */
export type Keep = (text: string) => Promise<{ readonly wrote: number; readonly took: number }>

/**
 * Runs the passes of the agent on a host without the process around them.
 *
 * @returns a function that throws when the ruleset is not in force after the pass
 */
export async function createKeeper({ pid }: Host, backend: Backend): Promise<Keep> {
  const network = await openNetwork(pid, backend)
  let memory = noMemory
  return async (text) => {
    const startedAt = performance.now()
    const result = await reconcile(memory, [{ reason: 'files' }], {
      ...network,
      readSources: async () => [{ path: 'bench.yaml', bytes: Buffer.from(text) }],
      parse: parseRulesets,
      labels: () => ({}),
      clusterFacts: () => noClusterFacts,
      lastCut: () => undefined,
      dryRun: false,
      onNewRules: () => {},
      trials: noTrials,
      override: () => ({ problems: [] }),
      now: () => new Date(),
      elapsedMs: () => performance.now(),
    })
    const took = performance.now() - startedAt
    ;({ memory } = result)
    const { state, message } = result.status
    if (state !== 'Enforcing') throw new Error(`after a pass the state is ${state}: ${message}`)
    return { wrote: Object.values(memory.families).filter(({ wrote }) => wrote).length, took }
  }
}
