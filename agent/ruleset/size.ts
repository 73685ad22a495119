import type { Issue } from './explain-issue.ts'
import type { AddressSource, Rule, Ruleset } from './ruleset.ts'

/** More rules than this take the kernel seconds to load and every packet too long. */
export const mostRules = 50_000

/** Longer lists of sources become a kernel set. */
const longestInline = 20

/** Finds the rule with which a ruleset grows beyond what should be loaded: lists multiply in iptables. */
export function checkSize(ruleset: Ruleset): Issue[] {
  let total = 0
  for (const [index, rule] of ruleset.rules.entries()) {
    total += sizeOf(rule, ruleset)
    if (total > mostRules) {
      const message = `makes ${total} iptables rules of this ruleset, expected at most ${mostRules}`
      return [{ path: ['spec', 'rules', index], message }]
    }
  }
  return []
}

/** How many iptables rules one rule becomes at the most, for each family and interface. */
function sizeOf(rule: Rule, ruleset: Ruleset): number {
  const sources = Math.min(countAddresses(rule.from, ruleset), longestInline)
  // A rejected "any" takes two rules; what was translated is matched one destination and port range at a time.
  const perProtocol = Math.max(rule.action === 'reject' ? 2 : 1, rule.ports.length)
  const destinations = countAddresses(rule.to, ruleset)
  return sources * destinations * rule.protocols.length * perProtocol * (rule.interfaces?.length ?? 1)
}

function countAddresses(sources: readonly AddressSource[] | undefined, { sets }: Ruleset): number {
  if (sources === undefined) return 1
  const counts = sources.map((source) => ('set' in source ? (sets.get(source.set)?.length ?? 1) : 1))
  return counts.reduce((sum, count) => sum + count, 0)
}
