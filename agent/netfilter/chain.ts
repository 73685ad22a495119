import { createHash } from 'node:crypto'
import type { Ipset } from './ipset-text.ts'

/** Chains of the filter table that every packet goes through. */
export type BaseChain = 'INPUT' | 'FORWARD' | 'OUTPUT'
export const baseChains: readonly BaseChain[] = ['INPUT', 'FORWARD', 'OUTPUT']

/** Chains of ours that base chains jump to, or that others of ours lead to. */
export const chainNames = {
  /** What comes in for processes of the node. */
  input: 'node-firewall',
  /** Forwarded packets: leads to the three below. */
  forward: 'node-firewall-fwd',
  /** What a client addressed to the node and the node translated: NodePorts, hostPorts, load balancers. */
  translated: 'node-firewall-dnat',
  podIngress: 'node-firewall-pods-in',
  podEgress: 'node-firewall-pods-out',
  /** What processes of the node open. */
  output: 'node-firewall-out',
} as const

/** The chain that counts what one rule with a limit accepts. */
export function limitChainName(id: string): string {
  return `node-firewall-l-${shortHash(id)}`
}

/** The chain of one ruleset in audit mode, in one of the chains above. */
export function auditChainName(id: string): string {
  return `node-firewall-a-${shortHash(id)}`
}

/** What every name of ours looks like, as a regular expression without anchors. */
export const ourChainPattern = `(?:${Object.values(chainNames).join('|')}|node-firewall-[al]-[0-9a-f]{8})`

const ourChain = new RegExp(`^${ourChainPattern}$`)

export function isOurChain(name: string): boolean {
  return ourChain.test(name)
}

/** Names of chains may have 28 characters. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** A chain as `iptables-save` would print it: each rule without its `-A CHAIN`. */
export type Chain = { readonly name: string; readonly rules: readonly string[] }

/** What one family's filter table shall hold of ours. */
export type Desired = {
  /** The chain that carries the marker is the first. */
  readonly chains: readonly Chain[]
  /** Which of our chains each base chain jumps to. */
  readonly jumps: Readonly<Partial<Record<BaseChain, string>>>
  /** Sets that rules of the chains name. */
  readonly sets: readonly Ipset[]
}

export function jumpRule(chain: string): string {
  return `-j ${chain}`
}

const markerPattern = /^-m comment --comment "ruleset ([0-9a-f]+)"$/

/** A rule without a target: it does nothing but say which rulesets the chains were made from. */
export function markerRule(hash: string): string {
  return `-m comment --comment "ruleset ${hash}"`
}

/** The hash of the rulesets a chain in the kernel was made from, or nothing if the chain does not say. */
export function readMarker(rules: readonly string[]): string | undefined {
  return markerPattern.exec(rules.at(-1) ?? '')?.[1]
}
