import type { Family } from '../ruleset/address.ts'
import type { UntrackedRule } from './dataplane.ts'
import type { Finding } from './finding.ts'

/**
 * Picks the rules that keep packets from conntrack out of what `iptables-save -t raw` printed, except those that no
 * client from outside can make use of.
 */
export function parseUntracked(text: string, family: Family): UntrackedRule[] {
  return text
    .split('\n')
    .filter((line) => /^-A .* -j (NOTRACK|CT .*--notrack)/.test(line) && !isHarmless(line))
    .map((rule) => ({ family, rule }))
}

function isHarmless(rule: string): boolean {
  // The node's DNS cache; see cmd/node-cache in kubernetes/dns.
  if (rule.includes('NodeLocal DNS Cache')) return true
  // A mark is set by something on the node, as by Cilium's proxy and Felix.
  if (/ --mark \S/.test(rule)) return true
  // Replies to what came in.
  return /^-A \S*OUTPUT\b.* --sport /.test(rule)
}

/**
 * Untracked packets pass a failsafe, as the replies to them are never ESTABLISHED. Felix and Antrea keep what comes
 * to the ports of their tunnels from conntrack.
 */
export function judgeUntracked(rules: readonly UntrackedRule[]): Finding[] {
  return [...Map.groupBy(rules, ({ family }) => family)].map(([family, group]) => {
    const [first] = group
    const more = group.length > 1 ? ` and ${group.length - 1} more` : ''
    return {
      what: `${family}: what "${first?.rule}"${more} in the raw table matches is untracked, and passes our rules`,
      remedy: 'deny it where that rule comes from',
    }
  })
}
