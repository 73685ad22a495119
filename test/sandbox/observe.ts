import type { Host } from './host.ts'
import type { Protocol } from './protocol.ts'

/**
 * Where a packet was seen: coming in, before anything could filter it or change its port (but put together from its
 * fragments, where conntrack is on); or past the filter table on its way to the host, through it, or out of it.
 */
export type Place = 'arrival' | 'input' | 'forward' | 'output'

export type Counts = {
  /** How many of a protocol went to a port; past the filter table that is the port that DNAT has made of it. */
  at(place: Place, protocol: Protocol, port: number): number
}

/** Counts packets that come to a host, and those that nothing in the filter table has stopped. */
export type Observer = { read(): Promise<Counts>; close(): Promise<void> }

type Element = { elem: { val: { concat: [number, number] }; counter: { packets: number } } }
type Listing = { nftables: readonly { set?: { name: string; elem?: readonly Element[] } }[] }

/** nft reads and writes names only where /etc/protocols is. */
const numbers = { tcp: 6, udp: 17 } as const

/** After conntrack has put fragments together (-400), before NAT (-100); and after the filter table (0). */
const hooks: Readonly<Record<Place, string>> = {
  arrival: 'prerouting priority -350',
  input: 'input priority 400',
  forward: 'forward priority 400',
  output: 'output priority 400',
}

/** In a table of its own that decides nothing, so that it is in nobody's way, on both backends. */
export async function observe(host: Host): Promise<Observer> {
  const chains = Object.entries(hooks).map(
    ([place, hook]) => `
    set ${place} { type inet_proto . inet_service; size 65535; flags dynamic; counter; }
    chain at-${place} {
      type filter hook ${hook}
      meta l4proto { ${Object.values(numbers).join(', ')} } update @${place} { meta l4proto . th dport }
    }`,
  )
  await host.exec('nft', ['-f', '-'], { input: `table inet observer {${chains.join('')}\n}\n` })
  return {
    async read() {
      const { stdout } = await host.exec('nft', [
        '--json',
        '--numeric-protocol',
        'list',
        'table',
        'inet',
        'observer',
      ])
      const packets = parseCounters(stdout)
      return { at: (place, protocol, port) => packets.get(`${place} ${numbers[protocol]} ${port}`) ?? 0 }
    },
    close: async () => void (await host.exec('nft', ['delete', 'table', 'inet', 'observer'])),
  }
}

function parseCounters(listing: string): Map<string, number> {
  const { nftables } = JSON.parse(listing) as Listing
  const elements = nftables.flatMap(({ set }) =>
    (set?.elem ?? []).map(({ elem }) => ({ place: set?.name, ...elem })),
  )
  return new Map(
    elements.map(({ place, val, counter }) => [[place, ...val.concat].join(' '), counter.packets]),
  )
}
