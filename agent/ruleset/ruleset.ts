import type { Cidr } from './address.ts'
import type { Position } from './problem.ts'
import type { Protocol } from './protocol.ts'
import type { Action, LabelSelector } from './schema.ts'

/** A Ruleset document after every check: what types can prove of it, they prove from here on. */
export type Ruleset = {
  readonly name: string
  readonly path: string
  readonly priority: number
  /** Absent: every node. */
  readonly nodeSelector?: LabelSelector
  /** Interfaces that face clients; `auto` stands for those that hold a default route. */
  readonly external: 'auto' | readonly string[]
  readonly defaults: { readonly ingress?: Action }
  readonly sets: ReadonlyMap<string, readonly Cidr[]>
  readonly rules: readonly Rule[]
  /** Where the name and the defaults stand, for problems between rulesets. */
  readonly positions: { readonly name: Position; readonly ingress: Position }
}

export type Rule = {
  readonly name: string
  readonly action: Action
  readonly protocols: readonly Protocol[]
  /** Destination ports, both ends included; empty: any. */
  readonly ports: readonly PortRange[]
  /** Sources and destinations; absent: any. */
  readonly from?: readonly AddressSource[]
  readonly to?: readonly AddressSource[]
  /** Absent: the external interfaces of the ruleset. */
  readonly interfaces?: readonly string[]
}

export type PortRange = { readonly first: number; readonly last: number }

/** A member of `from` or `to`: a network, or the name of a set of the ruleset or a built-in one. */
export type AddressSource = Cidr | { readonly set: string }
