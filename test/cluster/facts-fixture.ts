import { expect, onTestFinished } from 'vitest'
import { findAccess } from '../../agent/cluster/access.ts'
import type { ApiError } from '../../agent/cluster/api-error.ts'
import type { Clock } from '../../agent/cluster/clock.ts'
import { watchClusterFacts } from '../../agent/cluster/cluster-facts.ts'
import type { ClusterFacts, ClusterFactsOptions } from '../../agent/cluster/cluster-facts.ts'
import { formatCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import type { ApiServer } from './api-server.ts'
import { startApiServer } from './cluster-server.ts'
import type { Options } from './cluster-server.ts'
import type { SliceDraft } from './api-server/slices.ts'
import { until } from './own-node-fixture.ts'

export const NODE = 'worker-1'
export const OWN = 'node-firewall'

/** The facts of the cluster that `startCluster` makes. */
export const all = {
  nodes: ['10.88.0.11', '10.88.0.12'],
  apiServers: ['10.88.0.1'],
  apiServerPorts: [6443],
  podCIDRs: ['10.244.1.0/24', 'fd44:1::/64'],
}

/** A slice of the agents' own headless Service. */
export function agents(name: string, addresses: readonly string[], more: Partial<SliceDraft> = {}) {
  return { namespace: OWN, service: OWN, name, addresses, ...more }
}

/** The slice of the API servers. */
export function apiServers(addresses: readonly string[], port = 6443) {
  return { namespace: 'default', service: 'kubernetes', name: 'kubernetes', addresses, port }
}

/** A server with one Node, two agents and one API server, until the end of the test. */
export async function startCluster(options: Options = {}): Promise<ApiServer> {
  const server = await startApiServer({ node: NODE, ...options })
  onTestFinished(() => server.close())
  server.createNode(NODE, {}, {}, { podCIDRs: ['10.244.1.0/24', 'fd44:1::/64'] })
  server.slices.put(agents('ipv4', ['10.88.0.12', '10.88.0.11']))
  server.slices.put(apiServers(['10.88.0.1']))
  return server
}

export type Seen = {
  /** What was announced, in the form people write. */
  readonly facts: readonly Texts[]
  /** The same without its history. */
  readonly last: () => Texts
  readonly errors: readonly ApiError[]
  readonly stop: () => Promise<void>
}

export type Texts = {
  readonly at: number
  readonly nodes?: readonly string[]
  readonly apiServers?: readonly string[]
  readonly apiServerPorts?: readonly number[]
  readonly podCIDRs?: readonly string[]
}

/** Follows the facts until the end of the test, or until `stop`. */
export function follow(server: ApiServer, time: Time, options: Partial<ClusterFactsOptions> = {}): Seen {
  const controller = new AbortController()
  const facts: Texts[] = []
  const errors: ApiError[] = []
  const handlers = {
    onChange: (value: ClusterFacts) => facts.push(inWords(value, time.clock.now())),
    onError: (error: ApiError) => errors.push(error),
  }
  const ended = watchClusterFacts(
    { ...settings(server), clock: time.clock, ...options },
    handlers,
    controller.signal,
  )
  const stop = async () => {
    controller.abort()
    await ended
  }
  onTestFinished(stop)
  return { facts, errors, stop, last: () => facts.at(-1) ?? { at: 0 } }
}

export function settings(server: ApiServer) {
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  return { nodeName: NODE, namespace: OWN, getAccess: findAccess(env, server.serviceAccountDir) }
}

function inWords({ nodes, apiServers, apiServerPorts, podCIDRs }: ClusterFacts, at: number): Texts {
  return {
    at,
    ...(nodes === undefined ? {} : { nodes: nodes.map(short) }),
    ...(apiServers === undefined ? {} : { apiServers: apiServers.map(short) }),
    ...(apiServerPorts === undefined ? {} : { apiServerPorts }),
    ...(podCIDRs === undefined ? {} : { podCIDRs: podCIDRs.map(short) }),
  }
}

function short(cidr: Cidr): string {
  return cidr.prefix === (cidr.family === 'ipv4' ? 32 : 128) ? cidr.address : formatCidr(cidr)
}

export type Time = {
  readonly clock: Clock
  /** Ends the waits that are over by then. */
  readonly pass: (ms: number) => void
  /** How much is left of a wait that was this long; undefined when nobody waits for so long. */
  readonly left: (ms: number) => number | undefined
  /** How many wait, not counting the pause after an announcement. */
  readonly waiting: () => number
}

/** A time of its own, which stands still unless the test lets it pass. */
export function createTime(): Time {
  let now = 1_000_000
  const waiting = new Set<{ ms: number; until: number; resolve: () => void }>()
  const wait = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      waiting.add({ ms, until: now + ms, resolve })
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  return {
    clock: { now: () => now, date: () => 0, random: () => 0.5, wait },
    pass(ms) {
      now += ms
      for (const wait of waiting) {
        if (wait.until > now) continue
        waiting.delete(wait)
        wait.resolve()
      }
    },
    waiting: () => [...waiting].filter(({ ms }) => ms !== announcementMs).length,
    left: (ms) => [...waiting].flatMap((wait) => (wait.ms === ms ? [wait.until - now] : []))[0],
  }
}

/** Waits until the facts are these, and lets no more time pass than announcing them takes, unless told to. */
export async function untilSeen(seen: Seen, time: Time, facts: object, passMs = 0): Promise<void> {
  await until(() => {
    time.pass(passMs + (time.left(announcementMs) ?? 0))
    expect(seen.last()).toMatchObject(facts)
  })
}

/**
 * Lets time pass until a check holds, but only while both the watch and the poll wait: to a request that is under way
 * it would seem to have been a long one.
 */
export async function untilTried(time: Time, check: () => void): Promise<void> {
  await until(() => {
    if (time.waiting() >= 2) time.pass(30_000)
    check()
  })
}

/** Lets the next look come, and returns what it asked for. */
export async function lookAgain(server: ApiServer, time: Time): Promise<ApiServer['requests']> {
  const looks = () => server.requests.filter((request) => request.path.startsWith(path('node-firewall')))
  await until(() => expect(time.left(pauseMs)).toBeDefined())
  const before = looks().length
  time.pass(time.left(pauseMs) ?? 0)
  await until(() => {
    expect(looks().length).toBeGreaterThan(before)
    expect(time.left(pauseMs)).toBeDefined()
  })
  return looks().slice(before)
}

/** Between two looks, when chance is always one half. */
const pauseMs = 30_000

/** The least time between two announcements. */
const announcementMs = 250

/** The path of the EndpointSlices of a namespace. */
export function path(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
}
