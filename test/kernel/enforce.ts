import { readFile } from 'node:fs/promises'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { enforceFamily } from '../../agent/netfilter/enforce.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { parseProtocols } from '../../agent/netfilter/protocol-names.ts'
import { createTables } from '../../agent/netfilter/tables.ts'
import type { Tables } from '../../agent/netfilter/tables.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import type { ClusterFacts, NodeFacts, Policy } from '../../agent/policy/policy.ts'
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
export async function enforce(host: Host, backend: Backend, ...texts: readonly string[]): Promise<Policy> {
  return enforceWith(host, backend, noClusterFacts, ...texts)
}

/** The same in a cluster of which this is known. */
export async function enforceWith(
  host: Host,
  backend: Backend,
  cluster: ClusterFacts,
  ...texts: readonly string[]
): Promise<Policy> {
  return enforceKnowing(host, backend, { facts: await readNodeFacts(host.exec), cluster }, ...texts)
}

export type Knowledge = { readonly facts: NodeFacts; readonly cluster: ClusterFacts }

/** The same on a node of which this is known. */
export async function enforceKnowing(
  host: Host,
  backend: Backend,
  { facts, cluster }: Knowledge,
  ...texts: readonly string[]
): Promise<Policy> {
  const files = texts.map((text, index) => ({ path: `${index}.yaml`, bytes: Buffer.from(text) }))
  const { rulesets, problems } = parseRulesets(files)
  const selected = selectRulesets(rulesets, {})
  const errors = [...problems, ...selected.problems].filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join('\n'))
  const policy = resolvePolicy(selected.rulesets, { facts, cluster, now: Date.now() })
  const [tables, ipsets] = [await openTables(host), createIpsets(host.exec)]
  for (const family of families) {
    const desired = compilePolicy(policy, family)
    await enforceFamily({ tables, ipsets, backend, family, desired, mayHaveSets: true })
  }
  return policy
}

/** A Ruleset document with this `spec`. */
export function rulesetOf(spec: object, name = 'test'): string {
  return JSON.stringify({ apiVersion: 'node-firewall.io/v1', kind: 'Ruleset', metadata: { name }, spec })
}
