import { setTimeout as pause } from 'node:timers/promises'
import { realClock } from '../cluster/clock.ts'
import type { Keeping } from '../confirm/keeping.ts'
import { createTrials } from '../confirm/trials.ts'
import type { TrialEffects, Trials } from '../confirm/trials.ts'
import type { Exec } from '../host/exec.ts'
import { clusterDnsProbe } from '../probes/cluster-dns.ts'
import { createProber } from '../probes/prober.ts'
import { createRulesetProbes } from '../probes/ruleset-probes.ts'
import { sharesNetworkWith } from '../probes/shares-network.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ClusterSide } from './agent.ts'

export type TrialsOptions = Probing &
  Pick<TrialEffects, 'turnOf' | 'deadlineMs' | 'onChange' | 'onConfirmed' | 'onRolledBack'>

/** Trials in real time. Deadlines are measured by a clock that nobody can set. */
export function openTrials(keeping: Keeping, options: TrialsOptions): Trials {
  return createTrials(keeping, {
    ...options,
    timeout: (ms) => AbortSignal.timeout(ms),
    waitFor: async (promise, ms) => (ms === Infinity ? promise : Promise.race([promise, pause(ms)])),
    now: () => new Date(),
  })
}

/** What has to work after a change, and how it is asked. */
export type Probing = Pick<TrialEffects, 'probesFor' | 'before' | 'after'> & {
  readonly problems: readonly string[]
}

export type ProbingEffects = {
  readonly log: Logger
  readonly network: { readonly exec: Exec }
  readonly inCluster: ClusterSide | undefined
  readonly stop: AbortSignal
}

/** Finds out how this node can be probed. */
export async function openProbing(
  { targetPid }: { readonly targetPid: number },
  { log, network, inCluster, stop }: ProbingEffects,
): Promise<Probing> {
  const prober = createProber(realClock)
  const shares = await sharesNetworkWith(targetPid)
  let dns: readonly string[] | undefined
  const seeDns = async () => {
    dns = await inCluster?.findDns(stop)
  }
  seeDns().catch((error: unknown) => {
    if (!stop.aborted) log.warn({ err: error }, 'the cluster DNS is not probed: its address is not known')
  })
  return {
    before: prober.before,
    after: prober.after,
    probesFor: (rulesets) => [
      ...(inCluster?.probes() ?? []),
      ...(dns === undefined ? [] : [clusterDnsProbe(dns)]),
      ...createRulesetProbes(rulesets, network),
    ],
    problems: shares
      ? []
      : [
          'probes are sent from another network namespace than the one that is filtered: they cannot judge changes',
        ],
  }
}
