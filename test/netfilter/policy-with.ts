import type { Policy, PolicyRule, PolicyStep } from '../../agent/policy/policy.ts'
import type { Flow } from '../../agent/ruleset/ruleset.ts'

/** A policy of these steps, which nothing else is known of. */
export function policyWith(flows: Partial<Record<Flow, readonly PolicyStep[]>>): Policy {
  return {
    hash: '0123456789ab',
    mode: 'enforce',
    flows: { ingress: [], egress: [], podIngress: [], podEgress: [], ...flows },
    external: ['eth0'],
    self: [],
    clusterSets: { nodes: [], apiServers: [], podCIDRs: [] },
    unknownSets: new Set(),
    failsafesBy: [],
    keepsEstablished: new Set(),
    keepsEstablishedByDefault: new Set(),
    changedAt: -Infinity,
    changesAt: Infinity,
    warnings: [],
  }
}

/** A rule of the ruleset `test` for all of TCP. */
export function ruleOf(name: string, more: Partial<PolicyRule> = {}): PolicyRule {
  return {
    kind: 'rule',
    ruleset: 'test',
    name,
    action: 'accept',
    match: { interfaces: ['eth0'], protocols: [6] },
    log: false,
    audit: false,
    ...more,
  }
}
