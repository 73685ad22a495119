import { createLog } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { aborted } from './aborted.ts'
import type { AgentOptions, ClusterSide, ProcessSignals } from './agent-options.ts'
import { assemble } from './assemble.ts'
import type { Assembly } from './assemble.ts'
import type { Denials } from './denials.ts'
import type { Loop } from './loop.ts'
import { countWrites } from './count-writes.ts'
import { createMeter } from './meter.ts'
import { startServers } from './start-servers.ts'
import { takeTurn } from './take-turn.ts'
import { startCron, watchDrift, watchMode, watchNetwork, watchNode, watchRules } from './watches.ts'

/** How long a single pass waits for the cluster: what is not known then stays as it was. */
const introductionMs = 5_000

/** Runs the agent until it is told to stop; the rules stay in force then. Returns the exit code. */
export async function runAgent(options: AgentOptions, signals: ProcessSignals): Promise<number> {
  const log = createLog(options.logLevel)
  const { stop } = signals
  let loop: Loop | undefined
  let denials: Denials | undefined
  let waitsFor = 'no pass has ended yet'
  const meter = createMeter()
  const servers = await startServers(options, {
    ailment: () => loop?.ailment(),
    unready: () => (loop === undefined ? waitsFor : loop.unready()),
    denied: () => denials?.news(),
    metrics: meter.page,
    log,
  })
  const turn = await takeTurn(options, { log, stop, onWait: (reason) => (waitsFor = reason) })
  if (turn === undefined) {
    servers.close()
    return options.once ? 1 : 0
  }
  const inCluster = 'node' in options.place ? countWrites(options.place, meter.wrote) : undefined
  const agent = await assemble(options, { log, turn, inCluster, stop, meter })
  ;({ loop, denials } = agent)
  if (options.once) await passOnce(agent, inCluster, stop)
  else await keepPassing(agent, options, { log, inCluster, signals })
  await agent.end()
  await turn.release()
  servers.close()
  return options.once && loop.unready() !== undefined ? 1 : 0
}

/** All that a single run takes: what is tried is confirmed, or rolled back. */
async function passOnce(
  agent: Assembly,
  inCluster: ClusterSide | undefined,
  stop: AbortSignal,
): Promise<void> {
  const { loop, schedule, orders, cluster, cutter, trials } = agent
  if (inCluster !== undefined) {
    const { labels, annotations } = await inCluster.node.read(stop)
    agent.setLabels(labels)
    orders.setAnnotation(annotations)
  }
  // What comes in meanwhile shall not start passes of its own.
  await schedule.stop()
  await loop.pass([{ reason: 'start' }])
  if (await cluster.introduced(introductionMs, stop)) await loop.pass([{ reason: 'cluster' }])
  while (await trials.settled()) await loop.pass([{ reason: 'confirm' }])
  await cutter.settled()
}

type Context = {
  readonly log: Logger
  readonly inCluster: ClusterSide | undefined
  readonly signals: ProcessSignals
}

/** Makes a pass whenever something asks for it. */
async function keepPassing(agent: Assembly, options: AgentOptions, context: Context): Promise<void> {
  const { log, inCluster, signals } = context
  const { network, loop, schedule, reporter, orders, outages, setLabels: onLabels, renewNode } = agent
  const stops = [
    watchRules(options.rules, schedule, log),
    watchMode(options.stateDir, { orders, log }),
    watchDrift(options.targetPid, { authorOf: network.authorOf, loop, schedule, outages, log }),
    watchNetwork(options.targetPid, { schedule, outages, log }),
    startCron(options, schedule),
  ]
  if (inCluster !== undefined) {
    stops.push(watchNode(inCluster.node, { schedule, log, reporter, orders, onLabels, onNewNode: renewNode }))
  }
  signals.onHangup(() => schedule.trigger({ reason: 'signal' }))
  schedule.trigger({ reason: 'start' })

  await aborted(signals.stop)
  log.info('stopping: the rules stay in force')
  await Promise.all(stops.map(async (stop) => stop()))
  await schedule.stop()
}
