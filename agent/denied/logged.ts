import type { LogName } from '../netfilter/log-text.ts'
import { protocolNames } from '../ruleset/protocol.ts'
import type { Packet } from './packet.ts'

/** A packet that a rule has logged: what became of it, by which rule, and where it came from and went to. */
export type Logged = LogName & {
  /** A name of the rule language, or a number. Absent, as the addresses are: the packet could not be read. */
  readonly protocol?: string | undefined
  readonly from?: string | undefined
  readonly fromPort?: number | undefined
  /** What the client dialled, where the kernel tells; else where the packet goes. */
  readonly to?: string | undefined
  readonly port?: number | undefined
  /** Where this node translated it to: `10.244.1.10:8080`. */
  readonly translated?: string | undefined
  readonly icmp?: string | undefined
  /** Interfaces it came in on, and was to go out on. */
  readonly in?: string | undefined
  readonly out?: string | undefined
}

const names = new Map<number, string>(Object.entries(protocolNames).map(([name, number]) => [number, name]))

export function nameProtocol(number: number): string {
  return names.get(number) ?? String(number)
}

/** What a packet says of itself, as it is logged. */
export function describePacket({ from, fromPort, to, port, protocol, icmp }: Packet): Partial<Logged> {
  return {
    protocol: nameProtocol(protocol),
    from,
    ...(fromPort === undefined ? {} : { fromPort }),
    to,
    ...(port === undefined ? {} : { port }),
    ...(icmp === undefined ? {} : { icmp: `${icmp.type}/${icmp.code}` }),
  }
}

/** An interface's name may hold any byte but space and slash; ours is for logs and terminals. */
export function plainInterface(name: string): string | undefined {
  const plain = name.replaceAll(/[^!-~]/g, '?')
  return plain === '' ? undefined : plain
}
