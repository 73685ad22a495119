/** What a client sees of its connection: an answer, a refusal (reset or ICMP error), or nothing at all. */
export type Outcome = 'accepted' | 'refused' | 'silence'

export type Probe = {
  readonly protocol: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
  /** Address to send from, where the host has several. */
  readonly source?: string
  /** How long no answer counts as silence. */
  readonly silenceMs: number
}

export type StreamCount = { sent: number; answered: number; lost: number }

export type Request =
  | { readonly kind: 'listen'; readonly protocol: 'tcp' | 'udp'; readonly port: number }
  | ({ readonly kind: 'probe' } & Probe)
  | { readonly kind: 'received'; readonly port: number }
  | {
      readonly kind: 'stream'
      readonly name: string
      readonly address: string
      readonly port: number
      readonly mode: 'blast' | 'echo'
    }
  | { readonly kind: 'stop'; readonly name: string }
