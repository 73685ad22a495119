import packageJson from '../../package.json' with { type: 'json' }
import { realClock } from '../cluster/clock.ts'
import type { Tables } from '../netfilter/tables.ts'
import type { Memory } from '../pass.ts'
import { families } from '../ruleset/address.ts'
import type { Status } from '../status/status.ts'
import { counter, gauge, one } from '../telemetry/metric.ts'
import type { Metric } from '../telemetry/metric.ts'
import type { MetricsPage, Page } from '../telemetry/metrics-page.ts'
import { createCounterReader } from './counter-reader.ts'
import type { CounterReader, Counters, InForce } from './counter-reader.ts'
import { metricsOfAgent } from './metrics-of-agent.ts'
import type { Tallies, WriteResult } from './metrics-of-agent.ts'
import { metricsOfCounters } from './metrics-of-counters.ts'
import { createTally } from './tally.ts'

/** Counts what the agent does, and tells of it whoever asks. */
export type Meter = {
  /** Takes note of what a pass has left. */
  readonly passed: (status: Status, memory: Memory) => void
  readonly rolledBack: () => void
  readonly commandFailed: (program: string) => void
  readonly wrote: (object: 'node' | 'event', result: WriteResult) => void
  /** The tables whose counters are to be shown. */
  readonly count: (tables: Pick<Tables, 'read'>) => void
  /** The page that Prometheus asks for. */
  readonly page: () => Promise<Page>
}

const applying = {
  name: 'node_firewall_apply_duration_seconds',
  help: 'Time to compare both families with the kernel, write rules, and read them back; since the first scrape.',
}
const verifying = {
  name: 'node_firewall_verify_duration_seconds',
  help: 'Time to compare both families with the kernel and find nothing to write; since the first scrape.',
}

/**
 * Between scrapes it only adds up numbers. The library that writes the page is loaded when somebody asks for the first
 * time, and the counters of the kernel are read when somebody asks.
 */
export function createMeter(): Meter {
  const tallies = createTallies()
  let status: Status | undefined
  let memory: Memory | undefined
  let readCounters: CounterReader | undefined
  let loading: Promise<MetricsPage> | undefined
  let page: MetricsPage | undefined
  let rendering: Promise<Page> | undefined
  let lastCounters: Counters | undefined

  const counters = async (): Promise<Metric[]> => {
    const inForce = inForceOf(memory)
    if (readCounters === undefined || inForce === undefined) return []
    const read = await readCounters(inForce)
    if (read !== lastCounters) for (const family of read.failed) tallies.unreadCounters.add(family)
    lastCounters = read
    return metricsOfCounters(read)
  }
  const render = async () => {
    loading ??= import('../telemetry/metrics-page.ts').then(({ createMetricsPage }) =>
      createMetricsPage([applying, verifying]),
    )
    page = await loading
    const ofRules = await counters()
    const setSizes = setSizesOf(memory)
    const ofAgent = metricsOfAgent({ version: packageJson.version, tallies, status, setSizes })
    return page.render([...ofAgent, ...ofRules, unread(tallies), ...metricsOfProcess()])
  }
  return {
    passed(nextStatus, nextMemory) {
      status = nextStatus
      memory = nextMemory
      const outcomes = Object.values(memory.families)
      const failed = outcomes.length === 0 || outcomes.some(({ error }) => error !== undefined)
      const wrote = outcomes.some((outcome) => outcome.wrote)
      tallies.passes.add(failed ? 'failed' : wrote ? 'written' : 'unchanged')
      if (!failed) page?.observe(wrote ? applying : verifying, (memory.keptInMs ?? 0) / 1000)
    },
    rolledBack: () => tallies.rollbacks.add('all'),
    commandFailed: (program) => tallies.commandFailures.add(program),
    wrote: (object, result) => (object === 'node' ? tallies.nodeWrites : tallies.eventWrites).add(result),
    count: (tables) => void (readCounters = createCounterReader({ tables, clock: realClock })),
    async page() {
      rendering ??= render().finally(() => (rendering = undefined))
      return rendering
    },
  }
}

function createTallies(): Tallies {
  return {
    passes: createTally(['written', 'unchanged', 'failed']),
    rollbacks: createTally(['all']),
    commandFailures: createTally(),
    nodeWrites: createTally(['success', 'error']),
    eventWrites: createTally(['success', 'error']),
    unreadCounters: createTally(['ipv4', 'ipv6']),
  }
}

/** Where it is not known which rules the kernel holds, nobody could tell whose counters these are. */
function inForceOf(memory: Memory | undefined): InForce | undefined {
  const { backend, decision, families: kept = {} } = memory ?? {}
  if (backend === undefined || decision?.wanted.kind !== 'policy') return undefined
  return { backend, policy: decision.wanted.policy, families: families.filter((family) => family in kept) }
}

function setSizesOf(memory: Memory | undefined): ReadonlyMap<string, number> {
  return new Map(Object.values(memory?.families ?? {}).flatMap(({ seen }) => [...(seen?.setSizes ?? [])]))
}

function unread({ unreadCounters }: Tallies): Metric {
  return counter(
    'node_firewall_rule_read_errors_total',
    'How often the counters of rules could not be read; their metrics are missing then.',
    unreadCounters.entries().map(([family, value]) => ({ labels: { family }, value })),
  )
}

function metricsOfProcess(): Metric[] {
  const { user, system } = process.cpuUsage()
  return [
    counter(
      'process_cpu_seconds_total',
      'CPU time of the agent, without that of commands.',
      one((user + system) / 1e6),
    ),
    gauge('process_resident_memory_bytes', 'Resident memory of the agent.', one(process.memoryUsage.rss())),
    gauge('process_start_time_seconds', 'When the agent was started.', one(performance.timeOrigin / 1000)),
  ]
}
