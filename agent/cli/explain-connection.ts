import type { Connection } from '../policy/connection.ts'
import type { Policy } from '../policy/policy.ts'
import { messageOf } from '../errors.ts'
import { families, parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { parseIcmpType } from '../ruleset/icmp-types.ts'
import { nearest } from '../ruleset/problem.ts'
import { hasPorts, protocolNames, protocolNumbers } from '../ruleset/protocol.ts'
import { UsageError } from './usage-error.ts'

/** A connection as a person describes it; what is left out gets a likely value. */
export type ConnectionOptions = {
  readonly from?: string
  readonly to?: string
  /** Name or number; by default TCP, or ICMP where a type of it is given. */
  readonly proto?: string
  readonly port?: string
  readonly sourcePort?: string
  readonly icmpType?: string
  readonly in?: string
  readonly out?: string
  /** Whether the node's own process answers, or what its port is translated to. */
  readonly via?: 'direct' | 'nodePort'
  readonly egress?: boolean
  readonly endpoint?: 'node' | 'pods'
}

/** Stand-ins, from the networks for documentation (RFC 5737, RFC 3849), for addresses that nobody gave. */
const placeholders = {
  node: { ipv4: '192.0.2.1', ipv6: '2001:db8::1' },
  pod: { ipv4: '192.0.2.129', ipv6: '2001:db8::8001' },
}
const podInterface = 'pod0'

/** What to take for the addresses of the node: where the connection is said to go to, or to come from. */
export function guessAddresses(options: ConnectionOptions): readonly Cidr[] {
  const own = options.egress === true ? options.from : options.to
  const isNode = (options.endpoint ?? 'node') === 'node'
  const guessed = families.map((family) => parseCidr(placeholders.node[family]))
  return isNode && own !== undefined ? [parseAddress('address of the node', own), ...guessed] : guessed
}

/**
 * Completes what a person says of a connection.
 *
 * @throws {UsageError} when too little is said of it, or it makes no sense
 */
export function toConnection(options: ConnectionOptions, policy: Policy): Connection {
  const { egress = false, endpoint = 'node', via = 'direct' } = options
  const [needed, flag] = egress ? [options.to, '--to'] : [options.from, '--from']
  if (needed === undefined)
    throw new UsageError(`give ${flag} ADDRESS: where the connection ${egress ? 'goes' : 'comes from'}`)
  if (via === 'nodePort' && (egress || endpoint === 'pods')) {
    throw new UsageError(
      '--via nodePort is a way to the node: it goes with neither --egress nor --endpoint pods',
    )
  }
  const { family } = parseAddress(flag, needed)
  const node = addressOf(policy.self, family) ?? placeholders.node[family]
  const pod = addressOf(policy.clusterSets.podCIDRs, family) ?? placeholders.pod[family]
  const own = endpoint === 'pods' ? pod : node
  const [from, to] = egress ? [options.from ?? own, needed] : [needed, options.to ?? own]
  for (const [name, text] of [
    ['--from', from],
    ['--to', to],
  ] as const) {
    const found = parseAddress(name, text).family
    if (found !== family)
      throw new UsageError(`${name}: found ${text}, expected an address of ${family} as in ${flag}`)
  }
  const packet = toPacket(options, family)
  const port = packet.port === undefined ? {} : { port: packet.port }
  const dialled = { address: to, ...port }
  const outside = policy.external[0]?.replace(/^any$/, 'eth0').replace('+', '0') ?? 'eth0'
  const inside = podInterface
  const sides = sidesOf(options, outside, inside)
  const real = via === 'nodePort' ? { address: pod, ...port } : dialled
  const { protocol, fromPort, icmp } = packet
  const optional = {
    ...(fromPort === undefined ? {} : { fromPort }),
    ...(icmp === undefined ? {} : { icmp }),
  }
  return { family, protocol, from, dialled, real, ...optional, ...sides }
}

function sidesOf(
  options: ConnectionOptions,
  outside: string,
  inside: string,
): Pick<Connection, 'in' | 'out'> {
  const { egress = false, endpoint = 'node', via = 'direct' } = options
  if (egress) {
    const out = options.out ?? outside
    return endpoint === 'node' ? { out } : { in: options.in ?? inside, out }
  }
  const input = options.in ?? outside
  const isForwarded = endpoint === 'pods' || via === 'nodePort'
  return { in: input, ...(isForwarded ? { out: options.out ?? inside } : {}) }
}

type Packet = Pick<Connection, 'protocol' | 'fromPort' | 'icmp'> & { readonly port?: number }

function toPacket(options: ConnectionOptions, family: Family): Packet {
  const [own, foreign] = family === 'ipv4' ? (['icmp', 'icmpv6'] as const) : (['icmpv6', 'icmp'] as const)
  const protocol = parseProtocol(options.proto ?? (options.icmpType === undefined ? 'tcp' : own))
  if (protocol === protocolNumbers[foreign]) {
    throw new UsageError(`--proto: found ${foreign}, expected ${own} with addresses of ${family}`)
  }
  const isIcmp = protocol === protocolNumbers[own]
  if (options.icmpType !== undefined && !isIcmp)
    throw new UsageError(`--icmp-type goes with --proto ${own} alone`)
  if (!hasPorts(protocol)) {
    if (options.port !== undefined) throw new UsageError('--port goes with tcp, udp and sctp alone')
    return isIcmp
      ? { protocol, icmp: { code: 0, ...parseType(options.icmpType ?? 'echo-request', family) } }
      : { protocol }
  }
  if (options.port === undefined) throw new UsageError('give --port NUMBER: the one that is dialled')
  // Ports of clients are seldom below 32768 (Linux, net.ipv4.ip_local_port_range).
  const fromPort = options.sourcePort === undefined ? 40_000 : parsePort('--source-port', options.sourcePort)
  return { protocol, port: parsePort('--port', options.port), fromPort }
}

function addressOf(cidrs: readonly Cidr[], family: Family): string | undefined {
  return cidrs.find((cidr) => cidr.family === family)?.address
}

function parseAddress(name: string, text: string): Cidr {
  try {
    const cidr = parseCidr(text)
    if (!text.includes('/')) return cidr
  } catch (error) {
    throw new UsageError(`${name}: found ${text}: ${messageOf(error)}`, { cause: error })
  }
  throw new UsageError(`${name}: found ${text}, expected one address`)
}

function parseProtocol(text: string): number {
  const named = Object.entries(protocolNames).find(([name]) => name === text)
  if (named !== undefined) return named[1]
  if (/^[1-9][0-9]{0,2}$/.test(text) && Number(text) <= 255) return Number(text)
  const names = Object.keys(protocolNames)
  const guess = nearest(text, names)
  throw new UsageError(
    `--proto: found ${text}, expected ${guess ?? `${names.join(', ')}, or a number from 1 to 255`}`,
  )
}

function parsePort(name: string, text: string): number {
  if (/^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError(`${name}: found ${text}, expected a port from 1 to 65535`)
}

function parseType(text: string, family: Family) {
  try {
    return parseIcmpType(text, family)
  } catch (error) {
    throw new UsageError(`--icmp-type: ${messageOf(error)}`, { cause: error })
  }
}
