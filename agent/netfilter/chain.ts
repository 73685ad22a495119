/** The chain that holds this firewall's rules, in the filter table of both families. */
export const chainName = 'node-firewall'

/** The base chain whose packets go through it, and the rule that sends them there. */
export const baseChain = 'INPUT'
export const jumpRule = `-j ${chainName}`

/** A chain as `iptables-save` would print it: each rule without its `-A CHAIN`. */
export type Chain = { readonly name: string; readonly rules: readonly string[] }

const markerPattern = /^-m comment --comment "ruleset ([0-9a-f]+)"$/

/** A rule without a target: it does nothing but say which rulesets the chain was made from. */
export function markerRule(hash: string): string {
  return `-m comment --comment "ruleset ${hash}"`
}

/** The hash of the rulesets a chain in the kernel was made from, or nothing if the chain does not say. */
export function readMarker(rules: readonly string[]): string | undefined {
  return markerPattern.exec(rules.at(-1) ?? '')?.[1]
}
