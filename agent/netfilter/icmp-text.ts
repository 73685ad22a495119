import type { Family } from '../ruleset/address.ts'
import type { IcmpType } from '../ruleset/ruleset.ts'

/** Matches an ICMP type, in the text that `iptables-save` prints; the protocol has to stand before it. */
export function icmpMatch({ type, code }: IcmpType, family: Family): string {
  const flag = family === 'ipv4' ? '-m icmp --icmp-type' : '-m icmp6 --icmpv6-type'
  return `${flag} ${type}${code === undefined ? '' : `/${code}`}`
}
