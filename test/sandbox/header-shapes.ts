import type { Family } from '../../agent/ruleset/address.ts'
import type { Extension, PacketSetting } from './packet.ts'

/** What stands between the header of the network and that of the transport. */
export type Headers = Pick<PacketSetting, 'options' | 'extensions'>

/** How far a datagram comes when nothing filters, see `Shape`. */
export type Fate = 'process' | 'input' | 'nowhere'

type MakeShapes<S> = (family: Family, name: string, fate: Fate, headers: Headers) => S[]

/** Shapes with IPv4 options or IPv6 extension headers. */
export function headerShapes<S>(family: Family, make: MakeShapes<S>): S[] {
  return family === 'ipv4' ? optionShapes(make) : extensionShapes(make)
}

/** RFC 791 and, for router alert, RFC 2113. */
function optionShapes<S>(shape: MakeShapes<S>): S[] {
  const zeros = (count: number) => Array.from({ length: count }, () => 0)
  const options: readonly (readonly [string, readonly number[], Fate])[] = [
    ['no operation', [1, 1, 1, 1], 'process'],
    ['record route', [7, 39, 4, ...zeros(36)], 'process'],
    ['timestamp', [68, 36, 5, 0, ...zeros(32)], 'process'],
    ['router alert', [148, 4, 0, 0], 'process'],
    ['security', [130, 11, ...zeros(9)], 'process'],
    ['unknown', [158, 4, 0, 0], 'process'],
    ['loose source route', [131, 7, 4, 198, 51, 100, 1], 'nowhere'],
  ]
  return options.flatMap(([name, bytes, fate]) =>
    shape('ipv4', `IPv4 option: ${name}`, fate, { options: bytes }),
  )
}

const padding = [1, 4, 0, 0, 0, 0] // PadN

/** RFC 8200, section 4. */
const hopByHop: Extension = { protocol: 0, bytes: [0, 0, ...padding] }
const routerAlert: Extension = { protocol: 0, bytes: [0, 0, 5, 2, 0, 0, 1, 0] }
const destinationOptions: Extension = { protocol: 60, bytes: [0, 0, ...padding] }
/** One option that nobody knows, of a type that is to be passed over (RFC 4727). */
const longDestinationOptions: Extension = {
  protocol: 60,
  bytes: [0, 31, 0x1e, 252, ...Array.from({ length: 252 }, () => 0)],
}
/** With no segment left, it is passed over whatever its type. */
const routing: Extension = { protocol: 43, bytes: [0, 0, 253, 0, 0, 0, 0, 0] }
const routingWithSegments: Extension = { protocol: 43, bytes: [0, 0, 253, 1, 0, 0, 0, 0] }
/** All of a fragment's marks but one piece only, RFC 6946. */
const atomicFragment: Extension = { protocol: 44, bytes: [0, 0, 0, 0, 0, 0, 0, 1] }

function extensionShapes<S>(shape: MakeShapes<S>): S[] {
  const chains: readonly (readonly [string, readonly Extension[], Fate])[] = [
    ['hop-by-hop', [hopByHop], 'process'],
    ['hop-by-hop with router alert', [routerAlert], 'process'],
    ['destination options', [destinationOptions], 'process'],
    ['long destination options', [longDestinationOptions], 'process'],
    ['routing with no segment left', [routing], 'process'],
    ['routing with a segment left', [routingWithSegments], 'input'],
    ['atomic fragment', [atomicFragment], 'process'],
    ['several', [hopByHop, destinationOptions, routing, destinationOptions], 'process'],
    ['several and an atomic fragment', [hopByHop, atomicFragment, destinationOptions], 'process'],
  ]
  return chains.flatMap(([name, extensions, fate]) =>
    shape('ipv6', `IPv6 header: ${name}`, fate, { extensions }),
  )
}
