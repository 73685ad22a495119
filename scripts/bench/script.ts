import type { Backend } from '../../agent/netfilter/backend.ts'
import { baseChain, jumpRule } from '../../agent/netfilter/chain.ts'
import type { Chain } from '../../agent/netfilter/chain.ts'
import type { Family } from '../../agent/ruleset/address.ts'

/**
 * What many people have in place of a firewall program: a shell script that makes or flushes the chain and starts
 * one iptables for each rule.
 */
export function scriptText(
  backend: Backend,
  family: Family,
  { name, rules }: Chain,
  exists: boolean,
): string {
  const iptables = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend} --wait`
  return [
    'set -e',
    `${iptables} ${exists ? '-F' : '-N'} ${name}`,
    ...rules.map((rule) => `${iptables} -A ${name} ${rule}`),
    ...(exists ? [] : [`${iptables} -I ${baseChain} ${jumpRule}`]),
    '',
  ].join('\n')
}
