/** An IP protocol number (1-255), or `any`. */
export type Protocol = number | 'any'

/** Protocol names of the rule language and their IANA numbers. */
export const protocolNames = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  icmpv6: 58,
  sctp: 132,
} as const

export const protocolNumbers = { icmp: 1, tcp: 6, udp: 17, ah: 51, icmpv6: 58, sctp: 132 } as const

/** Numbers that are IPv6 extension headers (RFC 8200), which a protocol match never sees, with their names. */
export const extensionHeaders: ReadonlyMap<number, string> = new Map([
  [43, 'routing'],
  [44, 'fragment'],
  [60, 'destination options'],
])

/** Whether the protocol's header starts with a source and a destination port that netfilter can match. */
export function hasPorts(protocol: Protocol): boolean {
  return (
    protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp || protocol === protocolNumbers.sctp
  )
}
