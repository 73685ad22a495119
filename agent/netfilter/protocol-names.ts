import { protocolNumbers } from '../ruleset/protocol.ts'

/** Numbers of protocol names, as /etc/protocols gives them. */
export type ProtocolTable = ReadonlyMap<string, number>

/** Names iptables knows by itself, whatever /etc/protocols says. */
const ownNames: ProtocolTable = new Map([
  ['tcp', 6],
  ['sctp', 132],
  ['udp', 17],
  ['udplite', 136],
  ['icmp', 1],
  ['icmpv6', 58],
  ['ipv6-icmp', 58],
  ['esp', 50],
  ['ah', 51],
  ['ipv6-mh', 135],
  ['mh', 135],
])

const canonical: ReadonlyMap<number, string> = new Map([
  [protocolNumbers.icmp, 'icmp'],
  [protocolNumbers.tcp, 'tcp'],
  [protocolNumbers.udp, 'udp'],
  [protocolNumbers.icmpv6, 'ipv6-icmp'],
  [protocolNumbers.sctp, 'sctp'],
])

/** How this project writes a protocol after `-p`: by name where matches of that name follow, else by number. */
export function canonicalProtocol(protocol: number): string {
  return canonical.get(protocol) ?? String(protocol)
}

/**
 * Rewrites the `-p` of a saved rule to the canonical form. `iptables-save` prints whatever name the
 * /etc/protocols beside it has for the number, so the same rule reads differently from image to image.
 */
export function canonicalizeProtocol(rule: string, table: ProtocolTable): string {
  return rule.replace(/(?<=^|(?:^| )(?:-[sdio] \S+|!) )-p (\S+)/, (whole, name: string) => {
    const number = ownNames.get(name) ?? table.get(name)
    return number === undefined ? whole : `-p ${canonicalProtocol(number)}`
  })
}

/** Parses the text of /etc/protocols (protocols(5)). */
export function parseProtocols(text: string): ProtocolTable {
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
  return new Map(
    lines.flatMap(([name = '', number = '']) => (/^\d+$/.test(number) ? [[name, Number(number)]] : [])),
  )
}
