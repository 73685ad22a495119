import { orderOf } from './order.ts'
import type { Order } from './order.ts'
import type { Peer } from './peer.ts'

/** All nodes with an agent, in the order of one change. */
export type Fleet = { readonly order: Order; readonly isReady: (name: string) => boolean }

export type FleetOf = (peers: readonly Peer[], hash: string) => Fleet

export function fleetOf(peers: readonly Peer[], hash: string): Fleet {
  const ready = new Set(peers.flatMap((peer) => (peer.ready ? [peer.name] : [])))
  return {
    order: orderOf(
      peers.map(({ name }) => name),
      hash,
    ),
    isReady: (name) => ready.has(name),
  }
}

/**
 * Remembers the fleet of the last list: putting thousands of nodes in order takes some ms, and the same list comes many
 * times. `others` are nodes that count though no list has them (any more).
 */
export function createFleet(make: FleetOf, hash: string) {
  let last: { readonly peers: readonly Peer[]; readonly fleet: Fleet } | undefined
  return (peers: readonly Peer[], others: readonly string[]): Fleet => {
    last = last?.peers === peers ? last : { peers, fleet: make(peers, hash) }
    const { fleet } = last
    const missing = others.filter((name) => !fleet.order.positions.has(name))
    if (missing.length === 0) return fleet
    return { ...fleet, order: orderOf([...fleet.order.names, ...missing], hash) }
  }
}
