import type { Backend } from '../../agent/netfilter/backend.ts'
import { jumpRule } from '../../agent/netfilter/chain.ts'
import type { Desired } from '../../agent/netfilter/chain.ts'
import type { Family } from '../../agent/ruleset/address.ts'

/**
 * What many people have in place of a firewall program: a shell script that makes or flushes the chain and starts
 * one iptables for each rule.
 */
export function scriptText(
  backend: Backend,
  family: Family,
  { chains, jumps }: Desired,
  exists: boolean,
): string {
  const iptables = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend} --wait`
  return [
    'set -e',
    ...chains.map(({ name }) => `${iptables} ${exists ? '-F' : '-N'} ${name}`),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `${iptables} -A ${name} ${rule}`)),
    ...(exists
      ? []
      : Object.entries(jumps).map(([base, chain]) => `${iptables} -I ${base} ${jumpRule(chain)}`)),
    '',
  ].join('\n')
}
