import { rulesetOf } from '../../test/kernel/enforce.ts'
import { startFleetLoad } from '../../test/load/fleet-load.ts'
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
const agents = Number(process.env['FLEET_AGENTS'] ?? 100)

const minute = 60_000
const usual = { canaries: 1, then: '25%', pause: '30s' } // eslint-disable-line unicorn/no-thenable -- as rulesets have it

/** Closes one port, which no failsafe needs the cluster for. */
const blocking = (port: number, more: object = {}) =>
  rulesetOf({
    interfaces: { external: ['eth0'] },
    rules: [{ name: 'blocked', action: 'drop', protocol: 'tcp', ports: [port] }],
    ...more,
  })
const closing = (port: number) => blocking(port, { defaults: { ingress: 'reject' } })

/**
 * What agents ask of the API server: real cluster code, over TLS on loopback, by a clock that stands still while a
 * request is under way. Of the nodes only some have agents; what all of them cost is worked out from those.
 */
export async function measureFleet(): Promise<Row[]> {
  const fleet = await startFleetLoad({ agents, nodes, ruleset: blocking(1) })
  const { server, clock, isConverged: isDone } = fleet
  const rows: Row[] = []
  const say = (what: string, window: Window, limits: Limits) => rows.push(...rowsOf(what, window, limits))
  const shortly = { ms: minute, stepMs: 100, isDone }
  try {
    say('first installation', await fleet.measure(shortly, () => fleet.start(minute)), {
      perSecond: 3_000,
      isScattered: true,
    })
    say('steady', await fleet.measure({ ms: 60 * minute, stepMs: 1_000 }), { writesPerHour: 12 })

    const edit = (ruleset: string) => () => fleet.edit(ruleset)
    say('a change of rules', await fleet.measure(shortly, edit(blocking(2))), { perSecond: 10_000 })
    const staged = edit(blocking(3, { rollout: usual }))
    rows.push(...rolloutRows(await fleet.measure({ ...shortly, stepMs: 500 }, staged)))
    await fleet.measure(shortly, edit(blocking(4)))

    const restart = () => {
      // All watches are cut, and none can be resumed.
      server.faults.compact()
      server.faults.cutConnections()
    }
    say('an API server is restarted', await fleet.measure(shortly, restart), { perSecond: 10_000 })
    const goAway = () => {
      server.faults.stop()
      server.faults.cutConnections()
      clock.after(minute, () => void server.faults.acceptConnections())
    }
    const away = await fleet.measure({ ms: 3 * minute, stepMs: 100 }, goAway)
    say('the API server is away for a minute', away, { perSecond: 10_000 })

    await fleet.powerOff()
    const reboot = await fleet.measure(shortly, () => fleet.start(minute))
    say('all nodes start within a minute', reboot, { perSecond: 3_000, isScattered: true })

    await fleet.measure(shortly, edit(closing(5)))
    const closed = await fleet.measure({ ms: 10 * minute, stepMs: 1_000 })
    say('steady, with rulesets that close the node', closed, { writesPerHour: 12 })
    return rows
  } finally {
    await fleet.close()
  }
}

/** How often nodes look at each other depends on how many there are: docs/adr/0009-rollout.md has it for 5,000. */
function rolloutRows(window: Window): Row[] {
  const what = `a change of rules with a rollout, ${window.agents} nodes`
  const each = window.requests.length / window.agents
  const kinds = countByKind(window).map(([kind, count]) => `${formatNumber(count / window.agents)} ${kind}`)
  console.log(`  ${what}, requests of one agent in ${formatNumber(window.seconds)} s: ${kinds.join(', ')}`)
  return [atMost(`${what}: all requests`, each, 150, 'a node')]
}

type Limits = {
  readonly perSecond?: number
  readonly writesPerHour?: number
  /** Whether agents begin at times of their own, so that copies of them may do so too. */
  readonly isScattered?: true
}

function rowsOf(what: string, window: Window, limits: Limits): Row[] {
  const isSteady = limits.writesPerHour !== undefined
  const share = window.agents / nodes
  const per = isSteady ? 3_600 / window.seconds / window.agents : 1 / window.agents
  const kinds = countByKind(window).map(([kind, count]) => `${formatNumber(count * per)} ${kind}`)
  console.log(`  ${what}, requests of one agent${isSteady ? ' in an hour' : ''}: ${kinds.join(', ')}`)
  const writes = perSecond(window, isWrite) / share
  const shiftSeconds = isSteady ? 60 : limits.isScattered === true ? 7 : 0
  const worst = worstSecond(window, nodes, shiftSeconds)
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
