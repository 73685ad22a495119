import type { Cidr, Family } from '../ruleset/address.ts'
import type { Match } from './match.ts'
import type { Note } from './note.ts'

/** What every format is read into: the filter table of each family that the source speaks of. */
export type Source = {
  readonly tables: ReadonlyMap<Family, SourceTable>
  readonly notes: readonly Note[]
  /** Its rules are about the external interfaces, whether they name them or not. */
  readonly externalOnly?: boolean
  /** It filters connections to NodePorts and hostPorts before they are redirected. */
  readonly beforeDnat?: boolean
  /** What the source says beside rules, where it has words for it. */
  readonly external?: readonly string[]
  readonly nodeSelector?: object
  readonly sets?: ReadonlyMap<string, readonly string[]>
}

export type SourceTable = ReadonlyMap<string, SourceChain>

export type SourceChain = {
  readonly line: number
  /** Of INPUT, FORWARD and OUTPUT. */
  readonly policy?: 'accept' | 'drop'
  readonly rules: readonly SourceRule[]
}

/** A rule of iptables, or what means the same. */
export type SourceRule = {
  readonly line: number
  /** As it was written, for messages. */
  readonly text: string
  readonly comment?: string
  /** What its author wrote above it; it may be about several rules. */
  readonly remark?: string
  readonly match: Match
  /** Addresses it does not match. */
  readonly except: { readonly from?: readonly Cidr[]; readonly to?: readonly Cidr[] }
  /** States of conntrack it matches; absent: all. */
  readonly states?: readonly string[]
  /** It asks for connections that were redirected. */
  readonly redirected: boolean
  readonly cap?: Cap
  readonly target: Target
  /** Parts the ruleset language has no words for. */
  readonly unknown: readonly string[]
}

export type Target =
  | { readonly kind: 'accept' | 'drop' | 'reject' | 'return' | 'log' | 'none' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'other'; readonly name: string }

/**
 * A number that a rule counts to. `within`: it matches up to that; `beyond`: it matches what exceeds it;
 * `set`: it only counts.
 */
export type Cap = {
  readonly side: 'within' | 'beyond' | 'set'
  readonly limits: Limits
  /** In what they differ from the original. */
  readonly near?: string
}

/** As the ruleset language has them. */
export type Limits = {
  readonly limit?: LimitDocument
  readonly connections?: ConnectionsDocument
}
type Scope = { readonly per: 'source' | 'rule'; readonly ipv4Prefix?: number; readonly ipv6Prefix?: number }
export type LimitDocument = { readonly rate: string; readonly burst: number } & Scope
export type ConnectionsDocument = { readonly max: number } & Scope
