import { createHash } from 'node:crypto'
import { formatCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { clusterSets } from '../ruleset/built-in-sets.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
import { flows } from '../ruleset/ruleset.ts'
import type { Flow, Rule, Ruleset } from '../ruleset/ruleset.ts'
import { failsafeSets, isKnown } from './failsafe-rule.ts'
import { failsafesWithin } from './failsafes.ts'
import { narrowFailsafes } from './narrow-failsafes.ts'
import { followsCluster } from './needs-cluster.ts'
import type { ClusterFacts, Match, NodeFacts, Policy, PolicyRule, PolicyStep } from './policy.ts'
import { resolveAddresses } from './resolve-addresses.ts'
import { decisiveOf, warnOfPolicy } from './warn.ts'

/** A fact that a ruleset needs cannot be had on this node now. */
export class UnresolvedError extends Error {
  override readonly name = 'UnresolvedError'
}

/** What names of a ruleset stand for on one node. */
export type Surroundings = {
  readonly facts: NodeFacts
  readonly cluster: ClusterFacts
  /** ms since the epoch: rules that have expired by then are left out. */
  readonly now: number
  /** Failsafes also let pass what they would if nothing were known of the cluster. */
  readonly widens?: boolean
}

/**
 * Turns the rulesets that select a node (in order of evaluation) into its policy.
 *
 * @throws {UnresolvedError} when `external: auto` is asked for and no interface holds a default route.
 */
export function resolvePolicy(rulesets: readonly Ruleset[], surroundings: Surroundings): Policy {
  const { facts, cluster, now } = surroundings
  const expiries = rulesets.flatMap(({ rules }) => rules.map(({ expiresAt }) => expiresAt ?? Infinity))
  const steps = (flow: Flow) => stepsOf(flow, rulesets, surroundings)
  const decisive = decisiveOf(rulesets)
  return {
    hash: hashRulesets(rulesets),
    mode: rulesets.every(({ mode }) => mode === 'audit') ? 'audit' : 'enforce',
    flows: {
      ingress: steps('ingress'),
      egress: steps('egress'),
      podIngress: steps('podIngress'),
      podEgress: steps('podEgress'),
    },
    external: [...new Set(decisive.flatMap((ruleset) => externalInterfaces(ruleset, facts)))],
    self: facts.addresses,
    clusterSets: knownSets(cluster),
    unknownSets: new Set(clusterSets.filter((set) => cluster[set] === undefined)),
    failsafesBy: failsafeSets.filter((set) =>
      isKnown(set, { facts, cluster, follows: followsCluster(rulesets, cluster) }),
    ),
    keepsEstablished: new Set(
      rulesets.filter(({ established }) => established === 'keep').map(({ name }) => name),
    ),
    keepsEstablishedByDefault: new Set(
      flows.filter((flow) => settersOf(flow, decisive).every(({ established }) => established === 'keep')),
    ),
    changedAt: Math.max(...expiries.filter((expiry) => expiry <= now), -Infinity),
    changesAt: Math.min(...expiries.filter((expiry) => expiry > now), Infinity),
    warnings: warnOfPolicy(rulesets, surroundings),
  }
}

/**
 * Hash of what rulesets mean: comments, order of keys and file names do not change it, and neither does `rollout`,
 * which says how a change spreads and not what it is.
 */
export function hashRulesets(rulesets: readonly Ruleset[]): string {
  const hash = createHash('sha256')
  for (const ruleset of rulesets) {
    const { name, priority, mode, established, external, defaults, logsDefaults } = ruleset
    const { failsafe, sets, rules, probes } = ruleset
    const sortedDefaults = flows.map((flow) => defaults[flow])
    // By name and only where it is used, so that rulesets without it keep the hash they had before there was such a key.
    const later = [
      ...(probes.length === 0 ? [] : [{ probes }]),
      ...(Object.keys(failsafe).length === 0 ? [] : [{ failsafe }]),
      ...(logsDefaults ? [{ logsDefaults }] : []),
    ]
    hash.update(
      JSON.stringify([name, priority, mode, established, external, sortedDefaults, rules, ...later]),
    )
    for (const [set, members] of [...sets].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(`${set}\n`)
      for (let start = 0; start < members.length; start += 1_000) {
        hash.update(
          `${members
            .slice(start, start + 1_000)
            .map(formatCidr)
            .join(' ')} `,
        )
      }
      hash.update('\n')
    }
  }
  return hash.digest('hex').slice(0, 12)
}

function stepsOf(flow: Flow, rulesets: readonly Ruleset[], surroundings: Surroundings): PolicyStep[] {
  const steps = rulesets.flatMap((ruleset): PolicyStep[] => {
    const rules = ruleset.rules
      .filter((rule) => rule.flow === flow && (rule.expiresAt ?? Infinity) > surroundings.now)
      .map((rule) => resolveRule(rule, ruleset, surroundings))
    if (ruleset.mode === 'enforce') return rules
    const audited = [...rules, ...defaultOf(flow, [ruleset], surroundings.facts)]
    return audited.length === 0 ? [] : [{ kind: 'audit', ruleset: ruleset.name, rules: audited }]
  })
  const enforced = rulesets.filter(({ mode }) => mode === 'enforce')
  const follows = followsCluster(rulesets, surroundings.cluster)
  const standing = narrowFailsafes(
    failsafesWithin(flow, { ...surroundings, follows }, surroundings.widens === true),
    flow,
    rulesets,
    surroundings,
  )
  return [...standing, ...steps, ...defaultOf(flow, enforced, surroundings.facts)]
}

function resolveRule(rule: Rule, ruleset: Ruleset, surroundings: Surroundings): PolicyRule {
  const match: Match = {
    ...scopeOf(rule.interfaces ?? externalInterfaces(ruleset, surroundings.facts)),
    ...(rule.flow === 'podEgress' && rule.interfaces === undefined ? { orMetadata: true } : {}),
    protocols: rule.protocols,
    ports: rule.ports,
    ...(rule.icmpTypes === undefined ? {} : { icmpTypes: rule.icmpTypes }),
    ...(rule.from === undefined ? {} : { from: resolveAddresses(rule.from, ruleset, surroundings) }),
    ...(rule.to === undefined ? {} : { to: resolveAddresses(rule.to, ruleset, surroundings) }),
  }
  const { name, action, limit, connections, log, audit } = rule
  return {
    kind: 'rule',
    ruleset: ruleset.name,
    name,
    action,
    match,
    ...(limit === undefined ? {} : { limit }),
    ...(connections === undefined ? {} : { connections }),
    log,
    audit,
  }
}

function scopeOf(interfaces: readonly string[]): Pick<Match, 'interfaces'> {
  return interfaces.includes('any') ? {} : { interfaces }
}

function externalInterfaces({ external, name }: Ruleset, facts: NodeFacts): readonly string[] {
  if (external !== 'auto') return external
  if (facts.external.length > 0) return facts.external
  throw new UnresolvedError(
    `resolving "external: auto" of ruleset ${name}: no interface holds a default route; name the interfaces instead`,
  )
}

/** Rulesets agree on a default (selectRulesets sees to it), but each may name other external interfaces. */
function defaultOf(flow: Flow, rulesets: readonly Ruleset[], facts: NodeFacts): PolicyRule[] {
  const setters = settersOf(flow, rulesets)
  const action = setters[0]?.defaults[flow]
  if (action === undefined || action === 'accept') return []
  const interfaces = [...new Set(setters.flatMap((ruleset) => externalInterfaces(ruleset, facts)))]
  const [only] = setters.length === 1 ? setters : []
  const match = { ...scopeOf(interfaces), ...(flow === 'podEgress' ? { orMetadata: true } : {}) }
  return [
    {
      kind: 'default',
      ...(only === undefined ? {} : { ruleset: only.name }),
      name: flow,
      action,
      match,
      log: setters.some(({ logsDefaults }) => logsDefaults),
      audit: false,
    },
  ]
}

function settersOf(flow: Flow, rulesets: readonly Ruleset[]): Ruleset[] {
  return rulesets.filter(({ defaults }) => defaults[flow] !== undefined)
}

function knownSets(cluster: ClusterFacts): Record<ClusterSet, readonly Cidr[]> {
  return {
    nodes: cluster.nodes ?? [],
    apiServers: cluster.apiServers ?? [],
    podCIDRs: cluster.podCIDRs ?? [],
  }
}
