import type { ApiServer } from '../cluster/api-server.ts'
import { CONFIG_MAPS, NODES, parseTarget } from '../cluster/api-server/resources.ts'
import type { FleetClock } from './fleet-clock.ts'

/** What an API server was asked, and what it sent, in some time. */
export type Window = {
  /** s of the fleet's clock. */
  readonly seconds: number
  readonly agents: number
  readonly requests: readonly Request[]
  /** Bytes of all connections, both ways, TLS and its handshakes among them. */
  readonly bytes: number
  /** Events that watches of agents brought. */
  readonly events: number
}

/** When it came, in s after the beginning, and what it was, such as `patch nodes`. */
export type Request = { readonly at: number; readonly what: string }

/** Begins to count, with what came before forgotten. */
export function createWindow(
  server: ApiServer,
  { clock, agents }: { readonly clock: FleetClock; readonly agents: number },
): { readonly close: () => Window } {
  const startedAt = clock.now()
  const before = server.traffic()
  server.requests.length = 0
  let events = 0
  const unsubscribe = server.store.onChange(({ resource }) => {
    if (resource === NODES) events += 1
    if (resource === CONFIG_MAPS) events += agents
  })
  return {
    close() {
      unsubscribe()
      const after = server.traffic()
      return {
        seconds: (clock.now() - startedAt) / 1000,
        agents,
        requests: server.requests.map(({ at, verb, path }) => {
          return { at: (at - startedAt) / 1000, what: `${verb} ${resourceOf(path)}` }
        }),
        bytes: after.received + after.sent - before.received - before.sent,
        events,
      }
    },
  }
}

function resourceOf(path: string): string {
  const target = parseTarget(path)
  if (target === undefined) return path
  const { plural, subresource } = target
  return subresource === undefined ? plural : `${plural}/${subresource}`
}
