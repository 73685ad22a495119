import { schedule as scheduleCron } from 'node-cron'
import { createCutter } from '../conntrack/cutter.ts'
import type { OwnNode } from '../cluster/own-node.ts'
import { readRulesetFiles } from '../host/ruleset-files.ts'
import { watchFolder } from '../host/watch-folder.ts'
import { watchNetfilter } from '../host/watch-netfilter.ts'
import type { Backend } from '../netfilter/backend.ts'
import { createDriftReader } from '../netfilter/drift-events.ts'
import { noClusterFacts } from '../policy/policy.ts'
import { parseRulesets } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import { createSchedule } from '../schedule.ts'
import type { Schedule } from '../schedule.ts'
import { serveHealth } from '../telemetry/health.ts'
import { createLog } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { createLoop } from './loop.ts'
import type { Loop } from './loop.ts'
import { openNetwork } from './node.ts'
import { parseOnce } from './parse-once.ts'
import { createReporter } from './reporter.ts'
import type { Reporter } from './reporter.ts'

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
}

/** What the process is told from outside. */
export type ProcessSignals = {
  /** Aborted when the process shall end. */
  readonly stop: AbortSignal
  /** Calls back when somebody asks for a pass. */
  readonly onHangup: (callback: () => void) => void
}

/** Runs the agent until it is told to stop; the rules stay in force then. Returns the exit code. */
export async function runAgent(options: AgentOptions, signals: ProcessSignals): Promise<number> {
  const log = createLog(options.logLevel)
  const node = 'read' in options.node ? options.node : undefined
  let labels = 'labels' in options.node ? options.node.labels : undefined
  const reporter = createReporter({ log, node, statusFile: options.statusFile, dryRun: options.dryRun })
  const network = await openNetwork(options.targetPid, options.backend)
  const cutter = createCutter({
    exec: network.exec,
    onCut: (cut) =>
      log[cut.failed > 0 ? 'warn' : 'info'](cut, 'standing connections that are denied now were cut'),
  })
  const loop = createLoop({
    ...network,
    onNewRules: options.dryRun ? () => {} : cutter.start,
    readSources: async () => readRulesetFiles(options.rules),
    parse: parseOnce(parseRulesets),
    labels: () => labels,
    clusterFacts: () => noClusterFacts,
    dryRun: options.dryRun,
    now: () => new Date(),
    report: reporter.report,
  })
  if (options.once) {
    if (node !== undefined) ({ labels } = await node.read(signals.stop))
    await loop.pass([{ reason: 'start' }])
    await cutter.settled()
    await reporter.flush()
    return loop.unready() === undefined ? 0 : 1
  }

  const schedule = createSchedule({ pass: loop.pass, timer: startTimer, random: Math.random })
  const health =
    options.healthAddress === undefined ? undefined : await startHealth(options.healthAddress, loop, log)
  const stops = [
    watchRules(options.rules, schedule, log),
    watchDrift(options.targetPid, { isOwnProcess: network.isOwnProcess, loop, schedule, log }),
    startCron(options, schedule),
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

type Stop = () => Promise<void>

function watchRules(folder: string, schedule: Schedule, log: Logger): Stop {
  return watchFolder(folder, {
    onChange: () => schedule.trigger({ reason: 'files' }),
    onError: (error) =>
      log.warn({ err: error, folder }, 'watching the rules failed; the verify pass reads them too'),
  })
}

type DriftWatch = {
  readonly isOwnProcess: (pid: number) => boolean
  readonly loop: Loop
  readonly schedule: Schedule
  readonly log: Logger
}

/** Only the nft backend tells of changes; on the legacy one they are found by the verify pass. */
function watchDrift(targetPid: number, { isOwnProcess, loop, schedule, log }: DriftWatch): Stop {
  const controller = new AbortController()
  const readDrift = createDriftReader(isOwnProcess)
  const watching = watchNetfilter(
    targetPid,
    {
      onLine(line) {
        const by = readDrift(line)
        if (by !== undefined) schedule.trigger({ reason: 'drift', by })
      },
      onGap(reason) {
        if (loop.backend() === 'legacy') return
        log.warn({ reason }, 'following the changes of netfilter was interrupted')
        schedule.trigger({ reason: 'drift' })
      },
    },
    controller.signal,
  )
  return async () => {
    controller.abort()
    await watching
  }
}

function startCron({ verifySchedule, reapplySchedule }: AgentOptions, schedule: Schedule): Stop {
  const tasks = [
    scheduleCron(verifySchedule, () => schedule.trigger({ reason: 'verify' })),
    scheduleCron(reapplySchedule, () => schedule.trigger({ reason: 'reapply' })),
  ]
  return async () => {
    for (const task of tasks) await task.destroy()
  }
}

type NodeWatch = {
  readonly schedule: Schedule
  readonly log: Logger
  readonly reporter: Reporter
  readonly onLabels: (labels: Labels) => void
}

function watchNode(node: OwnNode, { schedule, log, reporter, onLabels }: NodeWatch): Stop {
  const controller = new AbortController()
  let known = ''
  const watching = node.watch(
    {
      onNode({ labels, annotations }) {
        reporter.seen(annotations)
        const seen = JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        if (seen === known) return
        known = seen
        onLabels(labels)
        schedule.trigger({ reason: 'node' })
      },
      onError: (error) => log.warn({ err: error }, 'watching the own Node failed; it is tried again'),
    },
    controller.signal,
  )
  return async () => {
    controller.abort()
    await watching
  }
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
