import type { FailsafeName } from '../ruleset/failsafe.ts'
import type { Flow, Ruleset } from '../ruleset/ruleset.ts'
import { keyOfFailsafe } from './failsafes.ts'
import type { Addresses, PolicyRule } from './policy.ts'
import { resolveAddresses } from './resolve-addresses.ts'
import type { Surroundings } from './resolve.ts'

/** Failsafes as the rulesets of a node narrow them, without those that are switched off. */
export function narrowFailsafes(
  rules: readonly PolicyRule[],
  flow: Flow,
  rulesets: readonly Ruleset[],
  surroundings: Surroundings,
): PolicyRule[] {
  const narrowed = rules.flatMap((rule) => {
    const name = keyOfFailsafe(rule.name)
    const ruleset = name === undefined ? undefined : setterOf(name, rulesets)
    const setting = name === undefined ? undefined : ruleset?.failsafe[name]
    if (ruleset === undefined || setting === undefined) return [rule]
    if (setting === 'off') return []
    const side = flow === 'ingress' ? 'from' : 'to'
    const sources = setting[side]
    if (sources === undefined) return [rule]
    const addresses = ofFamily(rule, resolveAddresses(sources, ruleset, surroundings))
    const fact = [...whatItIs(rule, side), `narrowed by ${ruleset.name}`].join('; ')
    return [{ ...rule, match: { ...rule.match, [side]: addresses }, fact }]
  })
  // What was told apart by its addresses alone is the same now.
  return [...new Map(narrowed.map((rule) => [JSON.stringify(rule), rule])).values()]
}

/** The part of a fact that says nothing of addresses: of what goes out, only tunnels have one. */
function whatItIs({ name, fact }: PolicyRule, side: 'from' | 'to'): string[] {
  const [what] = fact?.split('; ') ?? []
  return what === undefined || (side === 'to' && name !== 'tunnels') ? [] : [what]
}

/** The ruleset that sets a failsafe: those that set the same one say the same (selectRulesets sees to it). */
export function setterOf(name: FailsafeName, rulesets: readonly Ruleset[]): Ruleset | undefined {
  return rulesets.find(({ mode, failsafe }) => mode === 'enforce' && failsafe[name] !== undefined)
}

/** DHCP speaks IPv4, DHCPv6 IPv6: what is written for the one says nothing of the other. */
function ofFamily({ name }: PolicyRule, addresses: Addresses): Addresses {
  const family = name === 'dhcp' ? 'ipv4' : name === 'dhcpv6' ? 'ipv6' : undefined
  if (family === undefined) return addresses
  return { ...addresses, cidrs: addresses.cidrs.filter((cidr) => cidr.family === family) }
}
