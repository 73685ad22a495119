import type { ProbeResult } from '../../agent/probes/probe.ts'

/** What a process on a host of the sandbox is asked to do. */
export type Order =
  /** The probes of a ruleset, each once. */
  | { readonly kind: 'run'; readonly ruleset: string }
  /** Before a change, and then after it, once. */
  | { readonly kind: 'clusterDns' | 'clusterDnsAfter'; readonly addresses: readonly string[] }
  /** Begins the probes of a ruleset, calls them off when one has a socket, and answers when all is as it was. */
  | { readonly kind: 'callOff'; readonly ruleset: string }
  | { readonly kind: 'http'; readonly port: number; readonly status: number; readonly tls?: Certificate }
  | { readonly kind: 'dns'; readonly port: number; readonly zone: Zone }
  /** Ports that clients of a server have come from. */
  | { readonly kind: 'clients'; readonly port: number }

export type Certificate = { readonly key: string; readonly cert: string }

/** What a DNS server says of each name: addresses, the number of a code, or nothing. Of others: NXDOMAIN. */
export type Zone = Readonly<
  Record<string, { readonly A?: string; readonly AAAA?: string } | number | 'silence'>
>

export type Answer = {
  readonly error?: string
  readonly results?: readonly ProbeResult[]
  readonly clients?: readonly number[]
  /** What is open, and listens to the signal. */
  readonly held?: { readonly before: Held; readonly meanwhile: Held }
}

export type Held = {
  /** Timers, processes and the like. */
  readonly resources: readonly string[]
  readonly sockets: number
  readonly listeners: number
}
