import type { Access } from '../../agent/cluster/access.ts'
import { createClusterDns } from '../../agent/cluster/cluster-dns.ts'
import { watchClusterFacts } from '../../agent/cluster/cluster-facts.ts'
import { createClusterProbes } from '../../agent/cluster/cluster-probes.ts'
import { connectConfigMaps } from '../../agent/cluster/config-maps.ts'
import { createEvents } from '../../agent/cluster/events.ts'
import { connectOwnNode } from '../../agent/cluster/own-node.ts'
import { connectPeers } from '../../agent/cluster/peers.ts'
import { defaultVerifySchedule } from '../../agent/cli/agent-flags.ts'
import { createKeeping } from '../../agent/confirm/keeping.ts'
import type { Store } from '../../agent/confirm/keeping.ts'
import { createTrials } from '../../agent/confirm/trials.ts'
import { createSources } from '../../agent/daemon/newest-sources.ts'
import { createRollouts } from '../../agent/daemon/rollouts.ts'
import { createClusterWatch } from '../../agent/daemon/watch-cluster.ts'
import { decide } from '../../agent/policy/decide.ts'
import type { Decision } from '../../agent/policy/decide.ts'
import { createProber } from '../../agent/probes/prober.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { SourceFile } from '../../agent/ruleset/parse.ts'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { createSchedule } from '../../agent/schedule.ts'
import { deriveStatus } from '../../agent/status/derive.ts'
import { noDrift } from '../../agent/status/drift.ts'
import { eventsBetween } from '../../agent/status/events.ts'
import { createPublisher } from '../../agent/status/publish.ts'
import type { Status } from '../../agent/status/status.ts'
import { createLog } from '../../agent/telemetry/log.ts'
import { parseOnce } from '../../agent/daemon/parse-once.ts'
import type { FleetClock } from './fleet-clock.ts'

/** What of a node outlives its agent. */
export type VirtualDisk = { kernel: string; lastGood?: Parameters<Store['saveLastGood']>[0] }

export type VirtualAgent = {
  readonly name: string
  readonly state: () => string | undefined
  /** Hash of the rulesets in the kernel. */
  readonly ruleset: () => string
  /** The kubelet has brought these files. */
  readonly mount: (files: readonly SourceFile[]) => void
  readonly stop: () => Promise<void>
}

export type VirtualAgentOptions = {
  readonly name: string
  /** Read once for all: no file holds up what the clock stands still for. */
  readonly access: Access
  readonly clock: FleetClock
  readonly configMap: string
  readonly disk: VirtualDisk
}

/** Texts are the same on all nodes: they are parsed once for all. */
const parse = parseOnce(parseRulesets)
const folder = '/etc/node-firewall/rules'

/**
 * An agent whose kernel is one word, the hash of what is in force, and whose node always works. All that it asks of the
 * API server, and when, is the real agent's: it is put together as in agent/daemon/assemble.ts.
 */
export async function startVirtualAgent(options: VirtualAgentOptions): Promise<VirtualAgent> {
  const { name, clock, disk } = options
  const ended = new AbortController()
  const { signal: end } = ended
  const { access } = options
  const getAccess = async () => access
  const inCluster = { nodeName: name, getAccess, clock, namespace: 'node-firewall' }
  const node = connectOwnNode(inCluster)
  const timer = (ms: number, callback: () => void) => ({ cancel: clock.after(ms, callback) })
  const ignore = () => {}
  let mounted: readonly SourceFile[] = [{ path: folder, error: 'found nothing' }]
  let decision: Decision | undefined
  let before: Status | undefined
  let appliedAt: string | undefined
  let verifiedAt: string | undefined

  const schedule = createSchedule({
    pass: async () => (end.aborted ? { retry: false } : pass()),
    timer,
    random: clock.random,
  })
  const publisher = createPublisher({
    patch: async (changes) => void (await node.patchAnnotations(changes)),
    now: clock.now,
    date: clock.date,
    timer,
    random: clock.random,
    onError: ignore,
  })
  const events = createEvents({ ...inCluster, podName: name, onError: ignore })
  const sources = createSources({
    folder,
    readMount: async () => mounted,
    configMaps: connectConfigMaps({ ...inCluster, names: [options.configMap] }),
    onChange: () => schedule.trigger({ reason: 'files' }),
    onError: ignore,
  })
  const cluster = createClusterWatch(
    async (handlers, signal) => watchClusterFacts(inCluster, handlers, signal),
    { onChange: () => schedule.trigger({ reason: 'cluster' }), onError: ignore },
  )
  const rollouts = createRollouts({
    nodeName: name,
    node,
    peers: connectPeers(inCluster),
    log: createLog('silent'),
    onChange: () => schedule.trigger({ reason: 'rollout' }),
    clock,
  })
  const findDns = createClusterDns(inCluster)
  const dns = async (signal: AbortSignal) => void (await findDns(signal))
  const prober = createProber(clock)
  const store: Store = {
    read: async () => ({ quarantined: [], problems: [], ...(disk.lastGood && { lastGood: disk.lastGood }) }),
    saveLastGood: async (generation) => void (disk.lastGood = generation),
    saveJournal: async () => {},
  }
  const trials = createTrials(await createKeeping(store, parse), {
    probesFor(rulesets) {
      cluster.startFor(rulesets)
      return [
        ...createClusterProbes({ ...inCluster, podName: name }),
        { name: 'cluster dns', before: dns, after: dns },
      ]
    },
    before: prober.before,
    after: prober.after,
    turnOf: rollouts.turnOf,
    onOutcome: rollouts.onOutcome,
    timeout: clock.timeout,
    waitFor: async (promise, ms) =>
      ms === Infinity ? promise : Promise.race([promise, clock.wait(ms, end)]),
    deadlineMs: 30_000,
    onChange: () => schedule.trigger({ reason: 'confirm' }),
    onConfirmed: ignore,
    onRolledBack: ignore,
    onWide: ignore,
    now: () => new Date(clock.date()),
  })

  const pass = async () => {
    const files = await sources.read()
    const facts = { external: ['eth0'], interfaces: ['eth0', 'lo'], addresses: [parseCidr('198.51.100.2')] }
    const now = clock.date()
    decision = decide(decision, { parsed: parse(files), labels: {}, facts, cluster: cluster.facts(), now })
    const choice = await trials.choose({ decision, files, labels: {} })
    const wanted = wantedBy(choice, decision)
    const wrote = wanted !== undefined && wanted !== disk.kernel
    disk.kernel = wanted ?? disk.kernel
    const read = { rules: 30, positions, sets: 0, setSizes: new Map(), unlogged: 0 }
    const seen = { ...read, asWanted: wanted !== undefined, ruleset: disk.kernel }
    const outcome = { seen, wrote, drift: [], notes: [], moves: [], left: [] }
    await trials.catchUp()
    await trials.settle(families.map((family) => ({ family, ...seen, wrote })))
    if (wrote) appliedAt = new Date(now).toISOString()
    if (wanted !== undefined) verifiedAt = new Date(now).toISOString()
    const status = deriveStatus({
      decision,
      facts: { value: facts, warnings: [] },
      backend: 'nft',
      source: sources.origin(),
      families: { ipv4: outcome, ipv6: outcome },
      otherRules: [],
      drift: noDrift,
      progress: trials.progress(),
      appliedAt,
      verifiedAt,
    })
    for (const event of eventsBetween(before, status)) events.emit(event)
    before = status
    publisher.publish(status)
    cluster.startFor(decision.rulesets ?? [])
    return { retry: false }
  }
  const verify = () => {
    schedule.trigger({ reason: 'verify' })
    cancelVerify = clock.after(untilVerify(name, clock.date()), verify)
  }
  let cancelVerify = clock.after(untilVerify(name, clock.date()), verify)
  const watching = node.watch(
    { onNode: ({ annotations }) => publisher.seen(annotations), onError: ignore },
    end,
  )
  schedule.trigger({ reason: 'start' })
  return {
    name,
    state: () => before?.state,
    ruleset: () => disk.kernel,
    mount(files) {
      mounted = files
      schedule.trigger({ reason: 'files' })
    },
    /** The power is gone: nothing is said any more. */
    async stop() {
      ended.abort()
      cancelVerify()
      trials.stop()
      await Promise.all([
        watching,
        schedule.stop(),
        sources.stop(),
        cluster.stop(),
        rollouts.stop(),
        events.flush(0),
      ])
    },
  }
}

const positions = { INPUT: { jumps: ['-j node-firewall'], policy: 'ACCEPT' } }

/** Hash of what shall be in the kernel; undefined: whatever is there. */
function wantedBy(
  choice: Awaited<ReturnType<ReturnType<typeof createTrials>['choose']>>,
  { wanted }: Decision,
) {
  if (choice.kind === 'standing') return hashRulesets(choice.parsed.rulesets)
  if (choice.kind === 'whatever is there' || wanted.kind === 'whatever is there') return undefined
  return wanted.kind === 'policy' ? wanted.policy.hash : 'none'
}

/** ms to the next time of the schedule that an agent has by itself: two seconds of each minute. */
function untilVerify(name: string, date: number): number {
  const everyMs = 30_000
  const phase = Number.parseInt(defaultVerifySchedule(name), 10) * 1000
  return everyMs - ((date - phase) % everyMs)
}
