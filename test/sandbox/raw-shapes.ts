import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { headerShapes } from './header-shapes.ts'
import type { Fate, Headers } from './header-shapes.ts'
import { fragmentShapes } from './fragment-shapes.ts'
import { packet, tcp, udp } from './packet.ts'
import type { TcpFlag } from './packet.ts'
import type { Protocol } from './protocol.ts'

/** From where to where a shape goes. */
export type Target = { readonly source: string; readonly destination: string; readonly port: number }

/** A way to write packets to a port that a firewall might fail to see as such. */
export type Shape = {
  readonly name: string
  readonly family: Family
  readonly protocol: Protocol
  readonly build: (target: Target) => readonly Buffer[]
  /**
   * How far it comes when nothing filters: to a process that listens (datagrams only), past INPUT, or nowhere, because
   * the kernel throws it away in front of INPUT, so that its absence says nothing about a firewall. Of an IPv6 packet
   * whose first fragment has not all of the TCP header (RFC 8200 forbids it), that fragment alone comes to INPUT, where
   * any match on TCP of iptables-legacy throws it away.
   */
  readonly reaches: Fate | 'input on nft'
  /** Whether conntrack takes it for INVALID, which KUBE-FORWARD drops on its way to a pod. */
  readonly invalid?: boolean
}

const data = 'x'.repeat(56)
const sourcePort = 40_000

/** All of both families. */
export function rawShapes(): Shape[] {
  return families.flatMap((family) => [
    ...flagShapes(family),
    ...sourcePortShapes(family),
    ...headerShapes(family, bothTransports),
    ...fragmentShapes(family, { data, sourcePort }),
  ])
}

function flagShapes(family: Family): Shape[] {
  const combinations: readonly (readonly [string, readonly TcpFlag[], string?])[] = [
    ['SYN', ['SYN']],
    ['SYN with data', ['SYN'], 'GET / HTTP/1.0\r\n\r\n'],
    // Without a connection, conntrack takes it for one that was there before it (nf_conntrack_tcp_loose).
    ['ACK', ['ACK']],
    ['ACK with data', ['ACK', 'PSH'], 'GET / HTTP/1.0\r\n\r\n'],
  ]
  const invalid: typeof combinations = [
    ['SYN and FIN', ['SYN', 'FIN']],
    ['SYN and RST', ['SYN', 'RST']],
    ['SYN and ACK without a connection', ['SYN', 'ACK']],
    ['RST without a connection', ['RST']],
    ['FIN', ['FIN']],
    ['NULL', []],
    ['XMAS', ['FIN', 'PSH', 'URG']],
  ]
  return [...combinations, ...invalid].map((combination) => {
    const [name, flags, content] = combination
    return {
      name,
      family,
      protocol: 'tcp',
      build: (target) => [packet({ ...target, transport: tcp(sourcePort, target.port, flags, content) })],
      reaches: 'input',
      invalid: invalid.includes(combination),
    }
  })
}

/** Ports that careless rules take for answers. */
function sourcePortShapes(family: Family): Shape[] {
  return [20, 53, 67, 68, 123, 443, 547].flatMap((port): Shape[] => [
    {
      name: `SYN from port ${port}`,
      family,
      protocol: 'tcp',
      build: (target) => [packet({ ...target, transport: tcp(port, target.port, ['SYN']) })],
      reaches: 'input',
    },
    {
      name: `a datagram from port ${port}`,
      family,
      protocol: 'udp',
      build: (target) => [packet({ ...target, transport: udp(port, target.port, data) })],
      reaches: 'process',
    },
  ])
}

function bothTransports(family: Family, name: string, fate: Fate, more: Headers): Shape[] {
  return [
    {
      name: `${name}, SYN`,
      family,
      protocol: 'tcp',
      build: (target) => [packet({ ...target, ...more, transport: tcp(sourcePort, target.port, ['SYN']) })],
      reaches: fate === 'process' ? 'input' : fate,
    },
    {
      name: `${name}, datagram`,
      family,
      protocol: 'udp',
      build: (target) => [packet({ ...target, ...more, transport: udp(sourcePort, target.port, data) })],
      reaches: fate,
    },
  ]
}
