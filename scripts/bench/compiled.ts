import type { Desired } from '../../agent/netfilter/chain.ts'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { hasErrors, parseRulesets } from '../../agent/ruleset/parse.ts'

/** The chains that a ruleset becomes on a node of the sandbox. */
export function compileText(text: string, family: Family): Desired {
  const { rulesets, problems } = parseRulesets([{ path: 'bench.yaml', bytes: Buffer.from(text) }])
  if (hasErrors(problems)) throw new Error(`a ruleset of the benchmark has errors: ${problems[0]?.message}`)
  const facts = { external: ['eth0'], interfaces: ['eth0', 'lo'], addresses: [] }
  return compilePolicy(resolvePolicy(rulesets, { facts, cluster: noClusterFacts, now: 0 }), family)
}
