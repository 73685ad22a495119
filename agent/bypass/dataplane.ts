import type { Family } from '../ruleset/address.ts'
import type { NftTable } from './nft-tables.ts'

/** What stands on a node between its cables and netfilter's filter table, or beside that table. */
export type Dataplane = {
  /** BPF programs that see packets before netfilter, of the interfaces that face clients. */
  readonly programs: readonly Program[]
  /** Interfaces that face clients, whose programs of the newer kind, tcx, may not be asked for. */
  readonly unseen: readonly string[]
  /** Interfaces that face clients and belong to Open vSwitch. */
  readonly switched: readonly string[]
  /** Whether Calico's devices of its eBPF mode are there. */
  readonly hasCalicoDevices: boolean
  /** Absent: Cilium is not on this node. */
  readonly cilium?: CiliumSettings
  /** Native nft tables of others; those of iptables-nft are read as what they are. */
  readonly tables: readonly NftTable[]
  readonly untracked: readonly UntrackedRule[]
  /** What could not be read, each a sentence. */
  readonly unread: readonly string[]
}

export type Program = {
  readonly interface: string
  /** tcx: the links of Linux 6.6 and later, which tc(8) does not show. */
  readonly hook: 'xdp' | 'tc' | 'tcx'
  /** Up to 15 characters, as the kernel keeps it; it may be empty. */
  readonly name: string
}

/** Absent: unknown. */
export type CiliumSettings = {
  /** It translates NodePorts and the like in BPF. */
  readonly replacesKubeProxy?: boolean
  /** It takes packets of pods past the host's routing, and thereby past FORWARD. */
  readonly routesInBpf?: boolean
}

/** A rule of an iptables raw table that keeps packets from conntrack. */
export type UntrackedRule = { readonly family: Family; readonly rule: string }
