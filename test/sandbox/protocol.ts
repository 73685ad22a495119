/** What a client sees of its connection: an answer, a refusal (reset or ICMP error), or nothing at all. */
export type Outcome = 'accepted' | 'refused' | 'silence'

export type Protocol = 'tcp' | 'udp'

export type Probe = {
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  /** Address to send from, where the host has several. */
  readonly source?: string
  /** Port to send from; without it the kernel chooses one. */
  readonly sourcePort?: number
  /** How long no answer counts as silence. */
  readonly silenceMs: number
}

/** A connection or datagram as the server saw it, which NAT makes another one than the client sent. */
export type Visit = {
  /** Name of the host whose process got it. */
  readonly server: string
  readonly protocol: Protocol
  readonly port: number
  /** `::` for a datagram to an address that the host did not have yet when it began to listen. */
  readonly address: string
  readonly client: string
  readonly clientPort: number
}

/** What came of a call; with an answer also who gave it, and what it saw. */
export type Call = { readonly outcome: Outcome; readonly visit?: Visit }

export type StreamCount = { sent: number; answered: number; lost: number }

export type Request =
  | { readonly kind: 'listen'; readonly protocol: Protocol; readonly port: number }
  | ({ readonly kind: 'probe' | 'call' } & Probe)
  | { readonly kind: 'received' | 'visits'; readonly port: number }
  | {
      readonly kind: 'stream'
      readonly name: string
      readonly address: string
      readonly port: number
      readonly mode: 'blast' | 'echo'
    }
  | { readonly kind: 'stop'; readonly name: string }
