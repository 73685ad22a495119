import type { Family } from '../ruleset/address.ts'
import type { IcmpType } from '../ruleset/ruleset.ts'
export function icmpMatch({ type, code }: IcmpType, family: Family): string {
  return `${family === 'ipv4' ? '-m icmp --icmp-type' : '-m icmp6 --icmpv6-type'} ${type}${code === undefined ? '' : `/${code}`}`
}
