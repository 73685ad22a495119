import type { Cidr } from '../ruleset/address.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import type { Action } from '../ruleset/schema.ts'

/** What one node enforces: every rule in the order of evaluation, free of names that still need looking up. */
export type Policy = {
  /** Short hash of the rulesets it came from; the same on every node that they select. */
  readonly hash: string
  /** Failsafes, then rules, then defaults. What matches none of them is accepted. */
  readonly rules: readonly PolicyRule[]
  /** What its author should know, each a sentence. */
  readonly warnings: readonly string[]
}

export type PolicyRule = {
  /** Says where the rule comes from; it travels with the rule into the kernel. */
  readonly comment: string
  readonly action: Action
  readonly match: Match
}

/** All that is given must hold; a list holds when one of its members does. */
export type Match = {
  /** Interfaces the packet came in on; `+` at the end stands for any ending. */
  readonly interfaces?: readonly string[]
  readonly protocols?: readonly Protocol[]
  readonly ports?: readonly PortRange[]
  readonly sourcePort?: number
  readonly icmpTypes?: readonly number[]
  readonly from?: readonly Cidr[]
  readonly to?: readonly Cidr[]
  /** Conntrack states, in the order that `iptables-save` prints them. */
  readonly states?: readonly ('RELATED' | 'ESTABLISHED' | 'UNTRACKED' | 'DNAT')[]
}

/** What has to be known of a node to resolve a ruleset for it. */
export type NodeFacts = {
  /** Interfaces that hold a default route, in any routing table and either family. */
  readonly external: readonly string[]
  /** All interfaces there are. */
  readonly interfaces: readonly string[]
}
