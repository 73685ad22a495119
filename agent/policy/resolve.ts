import { createHash } from 'node:crypto'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { AddressSource, Rule, Ruleset } from '../ruleset/ruleset.ts'
import { failsafes } from './failsafes.ts'
import type { Match, NodeFacts, Policy, PolicyRule } from './policy.ts'

/** A fact that a ruleset needs cannot be had on this node now. */
export class UnresolvedError extends Error {
  override readonly name = 'UnresolvedError'
}

/**
 * Turns the rulesets that select a node (in order of evaluation) into its policy.
 *
 * @throws {UnresolvedError} when `external: auto` is asked for and no interface holds a default route.
 */
export function resolvePolicy(rulesets: readonly Ruleset[], facts: NodeFacts): Policy {
  const rules = rulesets.flatMap((ruleset) => ruleset.rules.map((rule) => resolveRule(rule, ruleset, facts)))
  return {
    hash: hashRulesets(rulesets),
    rules: [...failsafes, ...rules, ...defaultIngress(rulesets, facts)],
    warnings: [...openWarning(rulesets), ...absentInterfaces(rulesets, facts)],
  }
}

/** Hash of what rulesets mean: comments, order of keys and file names do not change it. */
export function hashRulesets(rulesets: readonly Ruleset[]): string {
  const meaning = rulesets.map(({ name, priority, external, defaults, sets, rules }) => ({
    name,
    priority,
    external,
    defaults,
    sets: [...sets].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    rules,
  }))
  return createHash('sha256').update(JSON.stringify(meaning)).digest('hex').slice(0, 12)
}

function resolveRule(rule: Rule, ruleset: Ruleset, facts: NodeFacts): PolicyRule {
  const interfaces = rule.interfaces ?? externalInterfaces(ruleset, facts)
  const match: Match = {
    ...(interfaces.includes('any') ? {} : { interfaces }),
    protocols: rule.protocols,
    ports: rule.ports,
    ...(rule.from === undefined ? {} : { from: resolveSources(rule.from, ruleset) }),
    ...(rule.to === undefined ? {} : { to: resolveSources(rule.to, ruleset) }),
  }
  return { comment: `${ruleset.name}/${rule.name}`, action: rule.action, match }
}

function resolveSources(sources: readonly AddressSource[], ruleset: Ruleset): Cidr[] {
  return sources.flatMap((source) => ('set' in source ? resolveSet(source.set, ruleset) : [source]))
}

function resolveSet(name: string, { sets }: Ruleset): readonly Cidr[] {
  const builtIn = Object.entries(builtInSets).find(([known]) => known === name)
  return builtIn === undefined ? (sets.get(name) ?? []) : builtIn[1].map(parseCidr)
}

function externalInterfaces({ external, name }: Ruleset, facts: NodeFacts): readonly string[] {
  if (external !== 'auto') return external
  if (facts.external.length > 0) return facts.external
  throw new UnresolvedError(
    `resolving "external: auto" of ruleset ${name}: no interface holds a default route; name the interfaces instead`,
  )
}

/** Rulesets agree on the default (selectRulesets sees to it), but each may name other external interfaces. */
function defaultIngress(rulesets: readonly Ruleset[], facts: NodeFacts): PolicyRule[] {
  const setters = rulesets.filter(({ defaults }) => defaults.ingress !== undefined)
  const action = setters[0]?.defaults.ingress
  if (action === undefined || action === 'accept') return []
  const interfaces = [...new Set(setters.flatMap((ruleset) => externalInterfaces(ruleset, facts)))]
  return [{ comment: 'default ingress', action, match: interfaces.includes('any') ? {} : { interfaces } }]
}

function openWarning(rulesets: readonly Ruleset[]): string[] {
  const closes = rulesets.some(({ defaults }) => defaults.ingress === 'drop' || defaults.ingress === 'reject')
  return closes ? [] : ['nothing is closed: no ruleset sets defaults.ingress to drop or reject']
}

function absentInterfaces(rulesets: readonly Ruleset[], facts: NodeFacts): string[] {
  const named = rulesets.flatMap(({ external, rules }) => [
    ...(external === 'auto' ? [] : external),
    ...rules.flatMap(({ interfaces }) => interfaces ?? []),
  ])
  return [...new Set(named)]
    .filter((name) => name !== 'any' && !facts.interfaces.some((present) => covers(name, present)))
    .map((name) => `no interface is called ${name} here: what is limited to it matches nothing`)
}

function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}
