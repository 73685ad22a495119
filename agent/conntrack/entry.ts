import type { Family } from '../ruleset/address.ts'

/** One connection as the kernel tracks it. */
export type Entry = {
  readonly family: Family
  /** IP protocol number. */
  readonly protocol: number
  /** The first packet, before any NAT. */
  readonly orig: Tuple
  /** What an answer looks like before NAT is undone: its source is the real destination. */
  readonly reply: Tuple
  /** Of the first packet. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number }
  /** The destination was changed on the way; the source was. */
  readonly dnat: boolean
  readonly snat: boolean
  /** TCP, SCTP and DCCP: as conntrack(8) prints it, `ESTABLISHED`. */
  readonly state?: string
  /** Of both directions; 0 is where everything is that nobody put elsewhere. */
  readonly zone: number
  /** Of the first direction only. */
  readonly origZone?: number
  /** The kernel's name for this very entry, made of its addresses and its place in memory. */
  readonly id?: number
}

/** Ports are missing where the protocol has none that conntrack knows; GRE has its keys in their place. */
export type Tuple = {
  readonly src: string
  readonly dst: string
  readonly sport?: number
  readonly dport?: number
}

/** A text that is the same for the same direction of the same conversation. */
export function keyOf(protocol: number, { src, dst, sport, dport }: Tuple): string {
  return `${protocol} ${src} ${sport ?? ''} ${dst} ${dport ?? ''}`
}
