import { readFile } from 'node:fs/promises'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { compileChain } from '../../agent/netfilter/compile.ts'
import { enforceChain } from '../../agent/netfilter/enforce.ts'
import { parseProtocols } from '../../agent/netfilter/protocol-names.ts'
import { createTables } from '../../agent/netfilter/tables.ts'
import type { Tables } from '../../agent/netfilter/tables.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { families } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'
import { selectRulesets } from '../../agent/ruleset/select.ts'
import type { Host } from '../sandbox/host.ts'

/** The tables of a host as the agent sees them. */
export async function openTables(host: Host): Promise<Tables> {
  const protocols = parseProtocols(await readFile('/etc/protocols', 'utf8').catch(() => ''))
  return createTables(host.exec, async () => ['filter'], protocols)
}

/** Puts rulesets in force on a host of the sandbox the way a pass does, for both families. */
export async function enforce(host: Host, backend: Backend, ...texts: readonly string[]): Promise<void> {
  const files = texts.map((text, index) => ({ path: `${index}.yaml`, bytes: Buffer.from(text) }))
  const { rulesets, problems } = parseRulesets(files)
  const selected = selectRulesets(rulesets, {})
  const errors = [...problems, ...selected.problems].filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join('\n'))
  const policy = resolvePolicy(selected.rulesets, await readNodeFacts(host.exec))
  const tables = await openTables(host)
  for (const family of families) {
    await enforceChain({ tables, backend, family, desired: compileChain(policy, family) })
  }
}

/** A Ruleset document with this `spec`. */
export function rulesetOf(spec: object, name = 'test'): string {
  return JSON.stringify({ apiVersion: 'node-firewall.io/v1', kind: 'Ruleset', metadata: { name }, spec })
}
