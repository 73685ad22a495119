import { setTimeout as pause } from 'node:timers/promises'
import { rulesetOf } from '../../test/kernel/enforce.ts'
import { startFleetLoad } from '../../test/load/fleet-load.ts'
import type { FleetLoad } from '../../test/load/fleet-load.ts'
import {
  bytesPerSecond,
  countByKind,
  perSecond,
  rateOf,
  worstSecond,
} from '../../test/load/window-figures.ts'
import type { Window } from '../../test/load/window.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { formatNumber } from './statistics.ts'

/** Nodes that the figures are for, and how many of them have an agent here. */
const nodes = 5_000
const agents = 200

const minute = 60_000
const usual = { canaries: 1, then: '25%', pause: '30s' }

/** Closes one port, which no failsafe needs the cluster for. */
const blocking = (port: number, more: object = {}) =>
  rulesetOf({
    interfaces: { external: ['eth0'] },
    rules: [{ name: 'blocked', action: 'drop', protocol: 'tcp', ports: [port] }],
    ...more,
  })
const closing = (port: number) => blocking(port, { defaults: { ingress: 'reject' } })

/**
 * What agents ask of the API server: real cluster code, over TLS on loopback, by a clock that goes faster than the
 * machine's where little happens. A busy machine answers late by that clock, so that agents ask more seldom.
 */
export async function measureFleet(): Promise<Row[]> {
  const fleet = await startFleetLoad({ agents, nodes, ruleset: blocking(1) })
  const rows: Row[] = []
  const say = (what: string, window: Window, limits: Limits) => rows.push(...rowsOf(what, window, limits))
  try {
    const first = await fleet.measure(minute, 1, async () => fleet.start(minute))
    say('first installation, within a minute', first, { perSecond: 3_000 })
    await fleet.converged(fleet.rulesetHash())
    say('steady', await fleet.measure(60 * minute, 60), { writesPerHour: 12 })

    const change = async (ruleset: string) => fleet.converged(fleet.edit(ruleset))
    say('a change of rules', await fleet.measure(minute, 1, async () => change(blocking(2))), {
      perSecond: 10_000,
    })
    const staged = await fleet.measure(minute, 4, async () => change(blocking(3, { rollout: usual })))
    say('a change of rules with a rollout', staged, { perSecond: 500 })
    await change(blocking(4))

    const restarted = await fleet.measure(minute, 1, () => restart(fleet))
    say('an API server is restarted', restarted, { perSecond: 10_000 })
    const away = await fleet.measure(3 * minute, 2, async () => goAway(fleet, minute))
    say('the API server is away for a minute', away, { perSecond: 10_000 })

    await fleet.powerOff()
    const reboot = await fleet.measure(2 * minute, 1.5, async () => fleet.start(minute))
    say('all nodes start within a minute', reboot, { perSecond: 3_000 })

    await change(closing(5))
    say('steady, with rulesets that close the node', await fleet.measure(10 * minute, 20), {
      writesPerHour: 12,
    })
    return rows
  } finally {
    await fleet.close()
  }
}

/** All watches are cut, and none can be resumed. */
function restart({ server }: FleetLoad): void {
  server.faults.compact()
  server.faults.cutConnections()
}

async function goAway({ server, clock }: FleetLoad, ms: number): Promise<void> {
  server.faults.stop()
  server.faults.cutConnections()
  const until = clock.now() + ms
  while (clock.now() < until) await pause(10)
  await server.faults.acceptConnections()
}

type Limits = { readonly perSecond?: number; readonly writesPerHour?: number }

function rowsOf(what: string, window: Window, limits: Limits): Row[] {
  const isSteady = limits.writesPerHour !== undefined
  const share = window.agents / nodes
  const per = isSteady ? 3_600 / window.seconds / window.agents : 1 / window.agents
  const kinds = countByKind(window).map(([kind, count]) => `${formatNumber(count * per)} ${kind}`)
  console.log(`  ${what}, requests of one agent${isSteady ? ' in an hour' : ''}: ${kinds.join(', ')}`)
  const writes = perSecond(window, isWrite) / share
  const worst = isSteady ? worstSecond(window, nodes) : worstSecond(window, nodes, 0)
  console.log(
    `  ${what}, at ${nodes} nodes: ${formatNumber(perSecond(window) / share)} requests and ${formatNumber(writes)} writes a second, ` +
      `${formatNumber(window.events / window.seconds / share)} watch events, ${formatNumber(bytesPerSecond(window) / share / 1e6)} MB; ` +
      `the busiest second ${formatNumber(worst)} requests`,
  )
  const { writesPerHour, perSecond: limit } = limits
  return [
    ...(writesPerHour === undefined
      ? []
      : [atMost(`${what}: writes of a node`, rateOf(window, isWrite) * 3_600, writesPerHour, 'an hour')]),
    ...(limit === undefined
      ? []
      : [atMost(`${what}: busiest second of ${nodes} nodes`, worst, limit, 'requests')]),
  ]
}

function isWrite(what: string): boolean {
  return /^(patch|create|delete) /.test(what)
}
