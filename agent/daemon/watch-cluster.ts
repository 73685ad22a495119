import { setTimeout as pause } from 'node:timers/promises'
import type { ClusterFactsHandlers } from '../cluster/cluster-facts.ts'
import { needsCluster } from '../policy/needs-cluster.ts'
import { noClusterFacts, unreadClusterFacts } from '../policy/policy.ts'
import type { ClusterFacts } from '../policy/policy.ts'
import { clusterSets } from '../ruleset/built-in-sets.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { Stop } from './watches.ts'

/** Follows what the cluster's sets hold, until the signal aborts. */
export type WatchCluster = (handlers: ClusterFactsHandlers, signal: AbortSignal) => Promise<void>

export type ClusterWatch = {
  /** What is known now. */
  readonly facts: () => ClusterFacts
  /** Begins to follow the cluster if these rulesets look at it. */
  readonly startFor: (rulesets: readonly Ruleset[]) => void
  /**
   * Waits until all of it is known, but no longer than so many ms after the beginning, or until aborted; resolves to
   * whether anything is known. Some clusters have sets that nobody can ever fill.
   */
  readonly introduced: (ms: number, signal: AbortSignal) => Promise<boolean>
  readonly stop: Stop
}

/** Follows the cluster from when it is needed. Without a cluster nothing is ever known. */
export function createClusterWatch(
  watch: WatchCluster | undefined,
  { onChange, onError }: { readonly onChange: () => void; readonly onError: ClusterFactsHandlers['onError'] },
): ClusterWatch {
  const controller = new AbortController()
  const unread = watch === undefined ? noClusterFacts : unreadClusterFacts
  let known = unread
  let watching: Promise<void> | undefined
  let startedAt = 0
  const learn = (facts: ClusterFacts) => {
    known = { ...unread, ...facts }
    onChange()
  }
  return {
    facts: () => known,
    startFor(rulesets) {
      if (watch === undefined || !needsCluster(rulesets)) return
      if (watching !== undefined) return
      startedAt = performance.now()
      watching = watch({ onChange: learn, onError }, controller.signal)
    },
    async introduced(ms, signal) {
      if (watching === undefined) return false
      const isWhole = () => clusterSets.every((set) => known[set] !== undefined)
      const end = startedAt + ms
      while (!isWhole() && performance.now() < end && !signal.aborted) await pause(50)
      return known !== unread
    },
    async stop() {
      controller.abort()
      await watching
    },
  }
}
