import type { Chain } from '../../agent/netfilter/chain.ts'
import { compileChain } from '../../agent/netfilter/compile.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { hasErrors, parseRulesets } from '../../agent/ruleset/parse.ts'

/** The chain that a ruleset becomes on a node of the sandbox. */
export function compileText(text: string, family: Family): Chain {
  const { rulesets, problems } = parseRulesets([{ path: 'bench.yaml', bytes: Buffer.from(text) }])
  if (hasErrors(problems)) throw new Error(`a ruleset of the benchmark has errors: ${problems[0]?.message}`)
  return compileChain(resolvePolicy(rulesets, { external: ['eth0'], interfaces: ['eth0', 'lo'] }), family)
}
