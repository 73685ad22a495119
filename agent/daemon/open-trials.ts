import { setTimeout as pause } from 'node:timers/promises'
import { realClock } from '../cluster/clock.ts'
import type { Keeping } from '../confirm/keeping.ts'
import { createTrials } from '../confirm/trials.ts'
import type { TrialEffects, Trials } from '../confirm/trials.ts'
import type { Cutter } from '../conntrack/cutter.ts'
import type { Exec, TargetPid } from '../host/exec.ts'
import { clusterDnsProbes } from '../probes/cluster-dns.ts'
import { createProber } from '../probes/prober.ts'
import { createRulesetProbes } from '../probes/ruleset-probes.ts'
import { sharesNetworkWith } from '../probes/shares-network.ts'
import type { Logger } from '../telemetry/log.ts'
import { aborted } from './aborted.ts'
import type { ClusterSide } from './agent-options.ts'
import type { ClusterWatch } from './watch-cluster.ts'

export type TrialsOptions = Probing &
  Pick<
    TrialEffects,
    'turnOf' | 'onOutcome' | 'deadlineMs' | 'onChange' | 'onConfirmed' | 'onRolledBack' | 'onWide'
  >

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
  readonly cluster: ClusterWatch
  readonly cutter: Cutter
}

/** How long a change waits for the sets of the cluster: what is not known then stays as it was. */
const introductionMs = 5_000

export type ProbingOptions = { readonly targetPid: TargetPid; readonly confirmDeadlineMs: number }

/** Finds out how this node can be probed. */
export async function openProbing(
  { targetPid, confirmDeadlineMs }: ProbingOptions,
  { log, network, inCluster, cluster, cutter }: ProbingEffects,
): Promise<Probing> {
  const prober = createProber(realClock)
  const shares = await sharesNetworkWith(targetPid)
  let hasComplained = false
  const findDns = async (signal: AbortSignal) => {
    try {
      return await inCluster?.findDns(signal)
    } catch (error) {
      if (!signal.aborted && !hasComplained) {
        log.warn({ err: error }, 'the cluster DNS is not probed: its address is not known')
        hasComplained = true
      }
      throw error
    }
  }
  const createDnsProbe = clusterDnsProbes(findDns)
  return {
    async before(probes, signal) {
      // Sets that fill up after a change was confirmed would be a change that nobody confirms.
      const [results] = await Promise.all([
        prober.before(probes, signal),
        cluster.introduced(introductionMs, signal),
      ])
      return results
    },
    async after(probes, time, off) {
      const signal = AbortSignal.any([time, off])
      // An agent that goes on with the trial of another: until the API servers are known, everybody's are in reach.
      await cluster.introduced(Math.min(introductionMs, confirmDeadlineMs / 2), signal)
      // A connection of before, on which a probe is answered, proves nothing. But a conntrack that hangs is no reason
      // to take a change back.
      const over = new AbortController()
      const patience = pause(confirmDeadlineMs / 3, undefined, { signal: over.signal }).catch(() => {})
      await Promise.race([cutter.settled(), aborted(signal), patience])
      over.abort()
      return prober.after(probes, time, off)
    },
    probesFor(rulesets) {
      cluster.startFor(rulesets)
      return [
        ...(inCluster?.probes() ?? []),
        ...(inCluster === undefined ? [] : [createDnsProbe()]),
        ...createRulesetProbes(rulesets, network),
      ]
    },
    problems: shares
      ? []
      : [
          'probes are sent from another network namespace than the one that is filtered: they cannot judge changes',
        ],
  }
}
