import type { FindClusterDns } from '../cluster/cluster-dns.ts'
import type { ConfigMaps } from '../cluster/config-maps.ts'
import type { Events, EventsOptions } from '../cluster/events.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import type { Peers } from '../cluster/peers.ts'
import { createKeeping, noStore } from '../confirm/keeping.ts'
import { noTrials } from '../confirm/trials.ts'
import { createCutter } from '../conntrack/cutter.ts'
import { readRulesetFiles } from '../host/ruleset-files.ts'
import { openStateFolder } from '../host/state-folder.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { Wanted } from '../policy/decide.ts'
import type { Probe } from '../probes/probe.ts'
import { parseRulesets } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import { createSchedule } from '../schedule.ts'
import type { CutStatus } from '../status/status.ts'
import { createLog } from '../telemetry/log.ts'
import { aborted } from './aborted.ts'
import { createAlarm } from './alarm.ts'
import { createConfirmed } from './confirmed.ts'
import { createLoop } from './loop.ts'
import type { Loop } from './loop.ts'
import { openNetwork } from './node.ts'
import { openProbing, openTrials } from './open-trials.ts'
import { createSources } from './newest-sources.ts'
import { openOrders } from './orders.ts'
import { parseOnce } from './parse-once.ts'
import { createReporter } from './reporter.ts'
import { createRollouts, noRollouts } from './rollouts.ts'
import { startHealth } from './start-health.ts'
import { takeTurn } from './take-turn.ts'
import { createClusterWatch } from './watch-cluster.ts'
import type { WatchCluster } from './watch-cluster.ts'
import { startCron, watchDrift, watchMode, watchNetwork, watchNode, watchRules } from './watches.ts'

export type AgentOptions = {
  /** Folder of Ruleset files: the mounted ConfigMap. */
  readonly rules: string
  readonly targetPid: number
  readonly backend: Backend | 'auto'
  /** Cron expressions, with seconds. */
  readonly verifySchedule: string
  readonly reapplySchedule: string
  readonly statusFile: string | undefined
  /** Folder on the host for what outlives the agent; absent: nothing does. */
  readonly stateDir: string | undefined
  /** File on the host that lets one agent act at a time; absent: nothing does. */
  readonly lockFile: string | undefined
  /** The pod this agent runs in, if it is one. */
  readonly pod: string | undefined
  /** Folder of the host's systemd units, where one restores the rules at its start; absent: none does. */
  readonly bootUnitDir: string | undefined
  /** How long a change may take to be confirmed, in ms. */
  readonly confirmDeadlineMs: number
  readonly healthAddress: { readonly host: string; readonly port: number } | undefined
  readonly logLevel: string
  /** One pass, then the end. */
  readonly once: boolean
  /** Compare only. */
  readonly dryRun: boolean
  /** The cluster this node is part of, or the labels of a host that is in none. */
  readonly place: ClusterSide | { readonly labels: Labels }
}

/** The cluster as an agent on one of its nodes deals with it. */
export type ClusterSide = {
  readonly nodeName: string
  readonly node: OwnNode
  readonly peers: Peers
  readonly watch: WatchCluster
  /** The ConfigMaps that are mounted, through the API; absent: the mount is all there is. */
  readonly configMaps: ConfigMaps | undefined
  /** What makes this node part of the cluster; made anew for each change of rules. */
  readonly probes: () => readonly Probe[]
  readonly findDns: FindClusterDns
  /** Takes the taint with which nodes join; absent: they join without one. */
  readonly removeTaint: ((signal: AbortSignal) => Promise<boolean>) | undefined
  readonly openEvents: (onError: EventsOptions['onError']) => Events
}

/** What the process is told from outside. */
export type ProcessSignals = {
  /** Aborted when the process shall end. */
  readonly stop: AbortSignal
  /** Calls back when somebody asks for a pass. */
  readonly onHangup: (callback: () => void) => void
}

/** How long a single pass waits for the cluster: what is not known then stays as it was. */
const introductionMs = 5_000

/** Runs the agent until it is told to stop; the rules stay in force then. Returns the exit code. */
export async function runAgent(options: AgentOptions, signals: ProcessSignals): Promise<number> {
  const log = createLog(options.logLevel)
  const { dryRun, place } = options
  const inCluster = 'node' in place ? place : undefined
  let labels = 'labels' in place ? place.labels : undefined
  let loop: Loop | undefined
  let waitsFor = 'no pass has ended yet'
  const health = await startHealth(
    options.once ? undefined : options.healthAddress,
    { ailment: () => loop?.ailment(), unready: () => (loop === undefined ? waitsFor : loop.unready()) },
    log,
  )
  const turn = await takeTurn(options, { log, stop: signals.stop, onWait: (reason) => (waitsFor = reason) })
  if (turn === undefined) {
    health?.close()
    return options.once ? 1 : 0
  }

  const network = await openNetwork(options.targetPid, options.backend)
  const parse = parseOnce(parseRulesets)
  const keeping = await createKeeping(
    options.stateDir === undefined || dryRun ? noStore : openStateFolder(options.stateDir),
    parseRulesets,
  )
  const events = dryRun
    ? undefined
    : inCluster?.openEvents((error) => log.warn({ err: error }, 'an Event could not be sent'))
  const reporter = createReporter({
    log,
    node: inCluster?.node,
    events,
    statusFile: options.statusFile,
    dryRun,
  })
  const ask = (reason: 'confirm' | 'mode' | 'cut' | 'expiry' | 'cluster' | 'rollout') =>
    schedule.trigger({ reason })
  const orders = await openOrders({
    annotation: keeping.mode(),
    stateDir: options.stateDir,
    onAnnotation: (value) => void keeping.noteMode(value),
    onChange: () => ask('mode'),
  })
  let lastCut: CutStatus | undefined
  const cutter = createCutter({
    exec: network.exec,
    onCut(cut) {
      log[cut.failed > 0 ? 'warn' : 'info'](cut, 'standing connections that are denied now were cut')
      lastCut = { at: new Date().toISOString(), ...cut }
      ask('cut')
    },
  })
  const { stateDir, bootUnitDir: unitDir } = options
  const confirmed = createConfirmed({
    log,
    boot: stateDir === undefined || unitDir === undefined || dryRun ? undefined : { stateDir, unitDir },
    removeTaint: dryRun ? undefined : inCluster?.removeTaint?.bind(undefined, signals.stop),
  })
  const expiry = createAlarm(() => ask('expiry'))
  const cluster = createClusterWatch(inCluster?.watch, {
    onChange: () => ask('cluster'),
    onError: (error) => log.warn({ err: error }, 'reading the cluster failed; what was read before stays'),
  })
  const probing = await openProbing(options, { log, network, inCluster, cluster, cutter, stop: signals.stop })
  const rollouts =
    inCluster === undefined || dryRun
      ? noRollouts
      : createRollouts({ ...inCluster, log, onChange: () => ask('rollout') })
  const trials = dryRun
    ? noTrials
    : openTrials(keeping, {
        ...probing,
        deadlineMs: options.confirmDeadlineMs,
        ...rollouts,
        onChange: () => ask('confirm'),
        onConfirmed: (ruleset) => log.info({ ruleset }, 'the change is confirmed'),
        onRolledBack: (quarantined) => log.error(quarantined, 'the change is rolled back'),
      })
  const sources = createSources({
    folder: options.rules,
    readMount: async () => readRulesetFiles(options.rules),
    configMaps: inCluster?.configMaps,
    onChange: () => schedule.trigger({ reason: 'files' }),
    onError: (error) => log.warn({ err: error }, 'watching the ConfigMap failed; the mounted files count'),
  })
  loop = createLoop({
    ...network,
    onNewRules(policy, families) {
      if (!dryRun) cutter.start(policy, families)
    },
    lastCut: () => lastCut,
    readSources: sources.read,
    ...(inCluster?.configMaps === undefined ? {} : { sourceOf: sources.origin }),
    parse,
    labels: () => labels,
    clusterFacts: cluster.facts,
    trials: {
      ...trials,
      problems: () => [...turn.problems, ...sources.problems(), ...probing.problems, ...trials.problems()],
    },
    override: orders.override,
    dryRun,
    now: () => new Date(),
    report(status, memory, triggers) {
      // Also where the host has no watches left to give.
      if (triggers.some(({ reason }) => reason === 'verify')) void orders.readFile()
      reporter.report(status, memory, triggers)
      confirmed.note(memory)
      cluster.startFor([...(memory.decision?.rulesets ?? []), ...(memory.candidate?.rulesets ?? [])])
      expiry.setTo(expiryOf(memory.decision?.wanted))
    },
  })
  const schedule = createSchedule({ pass: loop.pass, timer: startTimer, random: Math.random })
  const end = async () => {
    trials.stop()
    await Promise.all([
      reporter.flush(),
      sources.stop(),
      cluster.stop(),
      confirmed.settled(),
      rollouts.stop(),
    ])
    await turn.release()
    health?.close()
  }
  if (options.once) {
    if (inCluster !== undefined) {
      const node = await inCluster.node.read(signals.stop)
      labels = node.labels
      orders.setAnnotation(node.annotations)
    }
    // What comes in meanwhile shall not start passes of its own.
    await schedule.stop()
    await loop.pass([{ reason: 'start' }])
    if (await cluster.introduced(introductionMs, signals.stop)) await loop.pass([{ reason: 'cluster' }])
    while (await trials.settled()) await loop.pass([{ reason: 'confirm' }])
    await cutter.settled()
    await end()
    return loop.unready() === undefined ? 0 : 1
  }

  const stops = [
    watchRules(options.rules, schedule, log),
    watchMode(options.stateDir, { orders, log }),
    watchDrift(options.targetPid, { isOwnProcess: network.isOwnProcess, loop, schedule, log }),
    watchNetwork(options.targetPid, schedule, log),
    startCron(options, schedule),
    async () => expiry.setTo(Infinity),
  ]
  if (inCluster !== undefined) {
    const onLabels = (current: Labels) => (labels = current)
    stops.push(watchNode(inCluster.node, { schedule, log, reporter, orders, onLabels }))
  }
  signals.onHangup(() => schedule.trigger({ reason: 'signal' }))
  schedule.trigger({ reason: 'start' })

  await aborted(signals.stop)
  log.info('stopping: the rules stay in force')
  await Promise.all(stops.map(async (stop) => stop()))
  await schedule.stop()
  await end()
  return 0
}

function expiryOf(wanted: Wanted | undefined): number {
  return wanted?.kind === 'policy' ? wanted.policy.changesAt : Infinity
}

function startTimer(ms: number, callback: () => void) {
  const timer = setTimeout(callback, ms)
  return { cancel: () => clearTimeout(timer) }
}
