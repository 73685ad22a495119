import { createKeeping, noStore } from '../confirm/keeping.ts'
import { noTrials } from '../confirm/trials.ts'
import type { Trials } from '../confirm/trials.ts'
import { createCutter } from '../conntrack/cutter.ts'
import type { Cutter } from '../conntrack/cutter.ts'
import { noNamespaces } from '../conntrack/pod-namespaces.ts'
import { readRulesetFiles } from '../host/ruleset-files.ts'
import { openStateFolder } from '../host/state-folder.ts'
import type { Wanted } from '../policy/decide.ts'
import type { Trigger } from '../pass.ts'
import { parseRulesets } from '../ruleset/parse.ts'
import type { Labels } from '../ruleset/select.ts'
import { createSchedule } from '../schedule.ts'
import type { Schedule } from '../schedule.ts'
import type { CutStatus } from '../status/status.ts'
import type { Logger } from '../telemetry/log.ts'
import type { AgentOptions, ClusterSide } from './agent-options.ts'
import { createAlarm } from './alarm.ts'
import { createConfirmed, isInForce } from './confirmed.ts'
import { openDenials } from './denials.ts'
import type { Denials } from './denials.ts'
import { createLoop } from './loop.ts'
import type { Loop } from './loop.ts'
import { createSources } from './newest-sources.ts'
import type { Meter } from './meter.ts'
import { openNetwork } from './node.ts'
import type { NodeNetwork } from './node.ts'
import { openServerFinder, withServers } from './open-server-finder.ts'
import { openProbing, openTrials } from './open-trials.ts'
import { openOrders } from './orders.ts'
import type { Orders } from './orders.ts'
import { parseOnce } from './parse-once.ts'
import { createReporter } from './reporter.ts'
import type { Reporter } from './reporter.ts'
import { createRollouts, noRollouts } from './rollouts.ts'
import type { Turn } from './take-turn.ts'
import { createClusterWatch } from './watch-cluster.ts'
import type { ClusterWatch } from './watch-cluster.ts'
import type { Outages } from './watches.ts'

/** An agent that is ready to make its first pass. */
export type Assembly = {
  readonly network: NodeNetwork
  readonly loop: Loop
  readonly schedule: Schedule
  readonly reporter: Reporter
  readonly orders: Orders
  readonly cluster: ClusterWatch
  readonly cutter: Cutter
  readonly trials: Trials
  readonly denials: Denials | undefined
  readonly outages: Outages
  readonly setLabels: (labels: Labels) => void
  /** The own Node is another one of the same name now. */
  readonly renewNode: () => void
  /** Ends what passes have started; the rules stay in force. */
  readonly end: () => Promise<void>
}

export type Surroundings = {
  readonly log: Logger
  readonly turn: Turn
  readonly inCluster: ClusterSide | undefined
  readonly stop: AbortSignal
  readonly meter: Meter
}

/** Puts the parts of an agent together. Whatever may need a pass asks the schedule for it. */
export async function assemble(options: AgentOptions, surroundings: Surroundings): Promise<Assembly> {
  const { log, turn, inCluster, stop, meter } = surroundings
  const { dryRun, place, stateDir, targetPid, bootUnitDir: unitDir } = options
  let labels = 'labels' in place ? place.labels : undefined
  let lastCut: CutStatus | undefined
  let loop: Loop | undefined
  const schedule = createSchedule({
    pass: async (triggers) => loop?.pass(triggers) ?? { retry: true },
    timer: startTimer,
    random: Math.random,
  })
  const ask = (reason: Trigger['reason']) => schedule.trigger({ reason })
  const warn = (message: string) => (error: unknown) => log.warn({ err: error }, message)

  const network = await openNetwork(targetPid, options.backend, options.commandTimeoutMs, meter.commandFailed)
  meter.count(network.tables)
  const findServers = openServerFinder({
    exec: network.exec,
    targetPid,
    stateDir,
    dryRun,
    ownServer: inCluster?.server,
    onError: warn('where the API server was found could not be kept'),
  })
  const store = stateDir === undefined || dryRun ? noStore : openStateFolder(stateDir)
  const keeping = await createKeeping(store, parseRulesets)
  const orders = await openOrders({
    annotation: keeping.mode(),
    stateDir,
    onAnnotation: (value) => void keeping.noteMode(value),
    onChange: () => ask('mode'),
  })
  const events = dryRun ? undefined : inCluster?.openEvents(warn('an Event could not be sent'))
  const { statusFile } = options
  const reporter = createReporter({ log, node: inCluster?.node, events, statusFile, dryRun })
  const cutter = createCutter({
    exec: network.exec,
    ...(targetPid === 'self' ? { findNamespaces: noNamespaces } : {}),
    onCut(cut) {
      log[cut.failed > 0 ? 'warn' : 'info'](cut, 'standing connections that are denied now were cut')
      lastCut = { at: new Date().toISOString(), ...cut }
      ask('cut')
    },
  })
  const cluster = createClusterWatch(inCluster?.watch, {
    onChange: () => ask('cluster'),
    onError: warn('reading the cluster failed; what was read before stays'),
  })
  const probing = await openProbing(options, { log, network, inCluster, cluster, cutter })
  const rollouts =
    inCluster === undefined || dryRun
      ? noRollouts
      : createRollouts({ ...inCluster, log, onChange: () => ask('rollout') })
  const trials = dryRun
    ? noTrials
    : openTrials(keeping, {
        ...probing,
        ...rollouts,
        deadlineMs: options.confirmDeadlineMs,
        onChange: () => ask('confirm'),
        onConfirmed: (ruleset) => log.info({ ruleset }, 'the change is confirmed'),
        onWide: (wide) => log.error(wide, 'failsafes stay wide: with narrow ones a probe failed'),
        onRolledBack(quarantined) {
          meter.rolledBack()
          log.error(quarantined, 'the change is rolled back')
        },
      })
  const confirmed = createConfirmed({
    log,
    boot:
      stateDir === undefined || unitDir === undefined || dryRun
        ? undefined
        : { stateDir, unitDir, targetPid },
    removeTaint: dryRun ? undefined : inCluster?.removeTaint?.bind(undefined, stop),
  })
  const outages: Outages = new Map()
  const sources = createSources({
    folder: options.rules,
    readMount: async () => readRulesetFiles(options.rules),
    configMaps: inCluster?.configMaps,
    onChange: () => ask('files'),
    onError: warn('watching the ConfigMap failed; the mounted files count'),
  })
  const denials = dryRun
    ? undefined
    : openDenials({
        targetPid,
        wish: options.logTarget,
        isBrief: options.once,
        log,
        onChange: () => ask('logging'),
      })
  const expiry = createAlarm(() => ask('expiry'))

  loop = createLoop({
    ...network,
    readFacts: withServers(network.readFacts, findServers),
    onNewRules(policy, families) {
      if (!dryRun) cutter.start(policy, families)
    },
    lastCut: () => lastCut,
    readSources: sources.read,
    ...(inCluster?.configMaps === undefined ? {} : { sourceOf: sources.origin }),
    parse: parseOnce(parseRulesets),
    labels: () => labels,
    clusterFacts: cluster.facts,
    trials: {
      ...trials,
      problems: () => [
        ...[turn, sources, confirmed, trials].flatMap(({ problems }) => problems()),
        ...probing.problems,
        ...outages.values(),
      ],
    },
    override: orders.override,
    ...(denials === undefined ? {} : { logging: denials }),
    dryRun,
    now: () => new Date(),
    elapsedMs: () => performance.now(),
    report(status, memory, triggers) {
      // Also where the host has no watches left to give.
      if (triggers.some(({ reason }) => reason === 'verify')) void orders.readFile()
      meter.passed(status, memory)
      reporter.report(status, memory, triggers)
      confirmed.note(memory)
      if (trials.owesCut() && isInForce(memory)) void cutter.settled().then(trials.noteCut)
      cluster.startFor([...(memory.decision?.rulesets ?? []), ...(memory.candidate?.rulesets ?? [])])
      expiry.setTo(expiryOf(memory.decision?.wanted))
    },
  })
  return {
    network,
    loop,
    schedule,
    reporter,
    orders,
    cluster,
    cutter,
    trials,
    denials,
    outages,
    setLabels: (current) => void (labels = current),
    renewNode: confirmed.renewNode,
    async end() {
      expiry.setTo(Infinity)
      trials.stop()
      await Promise.all([
        reporter.flush(),
        sources.stop(),
        cluster.stop(),
        confirmed.settled(),
        rollouts.stop(),
        denials?.stop(),
      ])
    },
  }
}

function expiryOf(wanted: Wanted | undefined): number {
  return wanted?.kind === 'policy' ? wanted.policy.changesAt : Infinity
}

function startTimer(ms: number, callback: () => void) {
  const timer = setTimeout(callback, ms)
  return { cancel: () => clearTimeout(timer) }
}
