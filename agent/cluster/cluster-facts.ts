import type { Cidr } from '../ruleset/address.ts'
import { createAnnouncer } from './announce.ts'
import { connectClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { realClock } from './clock.ts'
import { slicesPath } from './endpoint-slice.ts'
import type { EndpointSlice, SlicesOf } from './endpoint-slice.ts'
import { createLingering } from './lingering.ts'
import type { OwnNodeOptions } from './own-node.ts'
import { readPodCidrs } from './pod-cidrs.ts'
import { pollSlices } from './poll-slices.ts'
import { watchSlices } from './watch-slices.ts'

/** What the cluster says of itself. A key is absent until its value was ever read; lists are sorted. */
export type ClusterFacts = {
  /** The nodes that run an agent, and those that did a moment ago. */
  readonly nodes?: readonly Cidr[]
  readonly apiServers?: readonly Cidr[]
  readonly apiServerPorts?: readonly number[]
  /** Those of the own Node, and the ones from the configuration. */
  readonly podCIDRs?: readonly Cidr[]
}

export type ClusterFactsOptions = OwnNodeOptions & {
  /** The agent's own namespace, and in it the headless Service that selects all agents. */
  readonly namespace: string
  readonly serviceName?: string
  readonly podCidrs?: readonly Cidr[]
  /** How long an address stays after it has vanished, in ms: 10 minutes. */
  readonly keepMs?: number
}

export type ClusterFactsHandlers = {
  /** Called once for each distinct value, at most every 250 ms. */
  readonly onChange: (facts: ClusterFacts) => void
  /** A failure that may pass: what was read before stays. Reported once until its kind changes. */
  readonly onError: (error: ApiError) => void
}

/**
 * Follows the addresses of nodes and API servers, and reads the pod networks, until `signal` aborts. Each of them
 * fails on its own. An answer without any address is taken for a failure, never for "there are none".
 */
export async function watchClusterFacts(
  options: ClusterFactsOptions,
  handlers: ClusterFactsHandlers,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, serviceName = 'node-firewall', keepMs = 600_000, clock = realClock } = options
  const { onError } = handlers
  const client = connectClient(options)
  const nodes = createLingering(keyOfCidr, keepMs)
  const apiServers = createLingering(keyOfCidr, keepMs)
  const apiServerPorts = createLingering(keyOfPort, keepMs)
  const podCIDRs = createLingering(keyOfCidr, keepMs)

  const read = (): ClusterFacts =>
    known({
      nodes: nodes.values(),
      apiServers: apiServers.values(),
      apiServerPorts: apiServerPorts.values(),
      podCIDRs: podCIDRs.values(),
    })
  const announcer = createAnnouncer(read, handlers.onChange, clock)
  const noteIf = (...changes: boolean[]) => {
    if (changes.includes(true)) announcer.note()
  }

  const agents: SlicesOf = { namespace, serviceName }
  const seeNodes = believe(agents, onError, ({ addresses }) => {
    const now = clock.now()
    noteIf(nodes.replace(addresses, now), apiServers.expire(now), apiServerPorts.expire(now))
  })
  const seeApiServers = believe(API_SERVERS, onError, ({ addresses, ports }) => {
    const now = clock.now()
    noteIf(apiServers.replace(addresses, now), apiServerPorts.replace(ports, now))
  })
  const seePodCidrs = (own: readonly Cidr[]) =>
    noteIf(podCIDRs.replace([...own, ...(options.podCidrs ?? [])], clock.now()))

  await together(signal, [
    (end) => pollSlices(client, { ...agents, onSlices: seeNodes, onError }, clock, end),
    (end) => watchSlices(client, { ...API_SERVERS, onSlices: seeApiServers, onError }, clock, end),
    (end) => readPodCidrs(client, { nodeName: options.nodeName, onCidrs: seePodCidrs, onError }, clock, end),
    (end) => announcer.run(end),
  ])
}

const API_SERVERS: SlicesOf = { namespace: 'default', serviceName: 'kubernetes' }

type Endpoints = { readonly addresses: readonly Cidr[]; readonly ports: readonly number[] }

/**
 * All endpoints of a Service, unless there are none: then the Service or its selector is broken, or the only API server
 * has just signed off, and whoever believed it would cut all nodes off from each other.
 */
function believe(of: SlicesOf, onError: (error: ApiError) => void, see: (endpoints: Endpoints) => void) {
  let doubted = false
  return (slices: readonly EndpointSlice[]) => {
    const addresses = slices.flatMap((slice) => slice.addresses)
    if (addresses.length > 0) see({ addresses, ports: slices.flatMap(({ ports }) => ports) })
    else if (!doubted) {
      const why = `found no address of the Service ${of.serviceName}, expected at least one`
      onError(new ApiError(`LIST ${slicesPath(of)}`, 'body', why, { reason: 'NoAddress' }))
    }
    doubted = addresses.length === 0
  }
}

/** Runs all until `signal` aborts; a bug in one of them ends the others, and comes through. */
async function together(
  signal: AbortSignal,
  tasks: readonly ((end: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController()
  const end = AbortSignal.any([signal, failed.signal])
  await Promise.all(
    tasks.map(async (task) =>
      task(end).catch((error: unknown) => {
        failed.abort()
        throw error
      }),
    ),
  )
}

function known(facts: { readonly [Key in keyof ClusterFacts]: ClusterFacts[Key] | undefined }): ClusterFacts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

/** IPv4 comes first. */
function keyOfCidr({ family, address, prefix }: Cidr): string {
  return `${family} ${address}/${prefix}`
}

function keyOfPort(port: number): string {
  return String(port).padStart(5, '0')
}
