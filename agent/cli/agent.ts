import { createCutter } from '../conntrack/cutter.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import { readRulesetFiles } from '../host/ruleset-files.ts'
import type { Backend } from '../netfilter/backend.ts'
import type { Wanted } from '../policy/decide.ts'
import { parseRulesets } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import type { CutStatus } from '../status/status.ts'
import { createSchedule } from '../schedule.ts'
import { serveHealth } from '../telemetry/health.ts'
import { createLog } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { createAlarm } from './alarm.ts'
import { createLoop } from './loop.ts'
import { openNetwork } from './node.ts'
import { parseOnce } from './parse-once.ts'
import { createReporter } from './reporter.ts'
import { createClusterWatch } from './watch-cluster.ts'
import type { WatchCluster } from './watch-cluster.ts'
import { startCron, watchDrift, watchNetwork, watchNode, watchRules } from './watches.ts'

export type AgentOptions = {
  /** Folder of Ruleset files: the mounted ConfigMap. */
  readonly rules: string
  readonly targetPid: number
  readonly backend: Backend | 'auto'
  /** Cron expressions, with seconds. */
  readonly verifySchedule: string
  readonly reapplySchedule: string
  readonly statusFile: string | undefined
  readonly healthAddress: { readonly host: string; readonly port: number } | undefined
  readonly logLevel: string
  /** One pass, then the end. */
  readonly once: boolean
  /** Compare only. */
  readonly dryRun: boolean
  /** The own Node of the cluster, or the labels of a host that is in none. */
  readonly node: OwnNode | { readonly labels: Labels }
  /** Absent of a host that is in no cluster. */
  readonly watchCluster: WatchCluster | undefined
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
  const node = 'read' in options.node ? options.node : undefined
  let labels = 'labels' in options.node ? options.node.labels : undefined
  const reporter = createReporter({ log, node, statusFile: options.statusFile, dryRun: options.dryRun })
  const network = await openNetwork(options.targetPid, options.backend)
  let lastCut: CutStatus | undefined
  const cutter = createCutter({
    exec: network.exec,
    onCut(cut) {
      log[cut.failed > 0 ? 'warn' : 'info'](cut, 'standing connections that are denied now were cut')
      lastCut = { at: new Date().toISOString(), ...cut }
      schedule.trigger({ reason: 'cut' })
    },
  })
  const expiry = createAlarm(() => schedule.trigger({ reason: 'expiry' }))
  const cluster = createClusterWatch(options.watchCluster, {
    onChange: () => schedule.trigger({ reason: 'cluster' }),
    onError: (error) => log.warn({ err: error }, 'reading the cluster failed; what was read before stays'),
  })
  const loop = createLoop({
    ...network,
    onNewRules(policy, families) {
      if (!options.dryRun) cutter.start(policy, families)
    },
    lastCut: () => lastCut,
    readSources: async () => readRulesetFiles(options.rules),
    parse: parseOnce(parseRulesets),
    labels: () => labels,
    clusterFacts: cluster.facts,
    dryRun: options.dryRun,
    now: () => new Date(),
    report(status, memory, triggers) {
      reporter.report(status, memory, triggers)
      cluster.startFor(memory.decision?.rulesets ?? [])
      expiry.setTo(expiryOf(memory.decision?.wanted))
    },
  })
  const schedule = createSchedule({ pass: loop.pass, timer: startTimer, random: Math.random })
  if (options.once) {
    if (node !== undefined) ({ labels } = await node.read(signals.stop))
    // What comes in meanwhile shall not start passes of its own.
    await schedule.stop()
    await loop.pass([{ reason: 'start' }])
    if (await cluster.introduced(introductionMs)) await loop.pass([{ reason: 'cluster' }])
    await Promise.all([cutter.settled(), cluster.stop()])
    await reporter.flush()
    return loop.unready() === undefined ? 0 : 1
  }

  const health =
    options.healthAddress === undefined ? undefined : await startHealth(options.healthAddress, loop, log)
  const stops = [
    watchRules(options.rules, schedule, log),
    watchDrift(options.targetPid, { isOwnProcess: network.isOwnProcess, loop, schedule, log }),
    watchNetwork(options.targetPid, schedule, log),
    startCron(options, schedule),
    cluster.stop,
    async () => expiry.setTo(Infinity),
  ]
  if (node !== undefined) {
    stops.push(watchNode(node, { schedule, log, reporter, onLabels: (current) => (labels = current) }))
  }
  signals.onHangup(() => schedule.trigger({ reason: 'signal' }))
  schedule.trigger({ reason: 'start' })

  await aborted(signals.stop)
  log.info('stopping: the rules stay in force')
  await Promise.all(stops.map(async (stop) => stop()))
  await schedule.stop()
  await reporter.flush()
  health?.close()
  return 0
}

function expiryOf(wanted: Wanted | undefined): number {
  return wanted?.kind === 'policy' ? wanted.policy.changesAt : Infinity
}

async function startHealth(
  address: { host: string; port: number },
  loop: Parameters<typeof serveHealth>[1],
  log: Logger,
) {
  try {
    const server = await serveHealth(address, loop)
    log.info({ address: server.address() }, 'answering probes')
    return server
  } catch (error) {
    log.error({ err: error, ...address }, 'no probes are answered: the address cannot be used')
    return undefined
  }
}

function startTimer(ms: number, callback: () => void) {
  const timer = setTimeout(callback, ms)
  return { cancel: () => clearTimeout(timer) }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
