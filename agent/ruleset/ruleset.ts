import type { Cidr } from './address.ts'
import type { Endpoint } from './endpoint.ts'
import type { HttpUrl } from './http-url.ts'
import type { FailsafeName, FailsafeSetting } from './failsafe.ts'
import type { Position } from './problem.ts'
import type { Protocol } from './protocol.ts'
import type { Action } from './fields.ts'
import type { LabelSelector } from './schema.ts'

/**
 * The ways a connection can go past this node:
 * - ingress: what a client addressed to the node: a host process, a hostPort, a NodePort, a load balancer's address;
 * - egress: what a process of the node opens;
 * - podIngress: routed from outside straight to a pod's own address;
 * - podEgress: what a pod opens, out of the node or to a metadata address.
 */
export type Flow = 'ingress' | 'egress' | 'podIngress' | 'podEgress'
export const flows: readonly Flow[] = ['ingress', 'egress', 'podIngress', 'podEgress']

/** A Ruleset document after every check: what types can prove of it, they prove from here on. */
export type Ruleset = {
  readonly name: string
  readonly path: string
  readonly priority: number
  /** audit: nothing is denied by it; what would be is counted and logged. */
  readonly mode: 'enforce' | 'audit'
  /** Whether connections that stand when its rules begin to deny them are cut. */
  readonly established: 'cut' | 'keep'
  /** Absent: every node. */
  readonly nodeSelector?: LabelSelector
  /** Interfaces that face clients; `auto` stands for those that hold a default route. */
  readonly external: 'auto' | readonly string[]
  readonly defaults: Readonly<Partial<Record<Flow, Action>>>
  /** Whether what its defaults deny is logged. */
  readonly logsDefaults: boolean
  /** Failsafes that it narrows or switches off; those of a ruleset in audit mode stay as they are. */
  readonly failsafe: Readonly<Partial<Record<FailsafeName, FailsafeSetting>>>
  /** Sets of the document; those of data files hold what the files say. */
  readonly sets: ReadonlyMap<string, readonly Cidr[]>
  readonly rules: readonly Rule[]
  /** What has to work from this node after a change of rules; what did before and does not is rolled back. */
  readonly probes: readonly ProbeSpec[]
  /** How a change crosses the fleet; absent: all nodes at once. */
  readonly rollout?: Rollout
  /** Where the name, the defaults and the failsafes stand, for problems between rulesets. */
  readonly positions: {
    readonly name: Position
    readonly defaults: Readonly<Partial<Record<Flow, Position>>>
    readonly failsafe: Readonly<Partial<Record<FailsafeName, Position>>>
    /** Of each rule, in their order. */
    readonly rules: readonly Position[]
  }
}

/** First so many canaries, then stages of one size, with a pause between two of them. */
export type Rollout = {
  readonly canaries: number
  /** `then` in the document. */
  readonly stage: Portion
  readonly pauseMs: number
}

/** A number of nodes, or a share of all of them. */
export type Portion = { readonly unit: 'nodes' | 'percent'; readonly amount: number }

export type Rule = {
  readonly name: string
  readonly flow: Flow
  readonly action: Action
  readonly protocols: readonly Protocol[]
  /** Destination ports, both ends included; empty: any. */
  readonly ports: readonly PortRange[]
  /** Absent: any. */
  readonly icmpTypes?: IcmpTypes
  /** Sources and destinations; absent: any. */
  readonly from?: readonly AddressSource[]
  readonly to?: readonly AddressSource[]
  /** Interfaces it comes in on, or with an egress flow goes out on. Absent: the external ones of the ruleset. */
  readonly interfaces?: readonly string[]
  readonly limit?: RateLimit
  readonly connections?: ConnectionLimit
  readonly log: boolean
  /** Of a rule that denies: it is counted and logged, and otherwise as if it were not there. */
  readonly audit: boolean
  /** ms since the epoch; from then on the rule is not there. */
  readonly expiresAt?: number
}

export type PortRange = { readonly first: number; readonly last: number }

/** ICMP types of each family; `code` absent: any. */
export type IcmpTypes = {
  readonly ipv4: readonly IcmpType[]
  readonly ipv6: readonly IcmpType[]
}
export type IcmpType = { readonly type: number; readonly code?: number }

/** What one bucket of a limit stands for: one for each source (network of this prefix length), or one in all. */
export type LimitScope =
  | { readonly per: 'rule' }
  | { readonly per: 'source'; readonly ipv4Prefix: number; readonly ipv6Prefix: number }

/** New connections beyond `rate` per `unit`, after `burst` at once, are dropped. */
export type RateLimit = {
  readonly rate: number
  readonly unit: 'second' | 'minute' | 'hour' | 'day'
  readonly burst: number
  readonly scope: LimitScope
}

/** New connections while `max` of the same scope stand are dropped. */
export type ConnectionLimit = { readonly max: number; readonly scope: LimitScope }

/** Something that has to work from this node, and how long (ms) one attempt may take. */
export type ProbeSpec = { readonly name: string; readonly timeoutMs: number } & (
  | { readonly kind: 'tcp'; readonly endpoint: Endpoint }
  | {
      readonly kind: 'http'
      readonly url: HttpUrl
      /** Absent: any status from 200 to 399. */
      readonly expect?: number
      /** Whether any certificate will do. */
      readonly insecure: boolean
    }
  | {
      readonly kind: 'dns'
      readonly query: string
      /** Absent: the system's servers. */
      readonly server?: Endpoint
    }
  | { readonly kind: 'icmp'; readonly address: string }
)

/** A member of `from` or `to`: a network, or the name of a set of the ruleset or a built-in one. */
export type AddressSource = Cidr | { readonly set: string }
