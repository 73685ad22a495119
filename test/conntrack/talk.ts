/** Where a client goes, and from where. */
export type Dial = {
  readonly protocol: 'tcp' | 'udp'
  readonly source: string
  readonly address: string
  readonly port: number
}

/** What a client has seen so far: messages, and how it ended if it did. */
export type Seen = { readonly messages: number; readonly ended?: string }

/** Servers answer each message; chatty ones go on sending to whoever has sent one. */
export type Order =
  | {
      readonly kind: 'serve'
      readonly protocol: 'tcp' | 'udp'
      readonly address: string
      readonly port: number
      readonly chatty: boolean
    }
  | { readonly kind: 'open'; readonly name: string; readonly dial: Dial }
  | { readonly kind: 'say'; readonly name: string }
  | { readonly kind: 'seen'; readonly name: string }
  | { readonly kind: 'close all' }
