import type { MergedRule } from './merge-families.ts'
import { nameRules, protocolName } from './name-rules.ts'
import type { ConnectionsDocument, LimitDocument } from './source.ts'

type Action = 'accept' | 'drop' | 'reject'

/** A Ruleset document, in the order in which people write it. */
export type ImportedDocument = {
  readonly apiVersion: 'node-firewall.io/v1'
  readonly kind: 'Ruleset'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly nodeSelector?: object
    readonly interfaces?: { readonly external: readonly string[] }
    readonly defaults?: { readonly ingress?: Action; readonly egress?: Action }
    readonly sets?: Readonly<Record<string, readonly string[]>>
    readonly rules?: readonly ImportedRule[]
  }
}

export type ImportedRule = {
  readonly name: string
  readonly description?: string
  readonly direction?: 'egress'
  readonly action: Action
  readonly protocol?: string | number | readonly (string | number)[]
  readonly ports?: readonly (string | number)[]
  readonly icmpTypes?: readonly (string | number)[]
  readonly from?: readonly string[]
  readonly to?: readonly string[]
  readonly interfaces?: readonly string[]
  readonly limit?: LimitDocument
  readonly connections?: ConnectionsDocument
  readonly log?: true
}

export type Parts = {
  readonly name: string
  readonly nodeSelector: object | undefined
  readonly external: readonly string[] | undefined
  readonly defaults: { readonly ingress?: Action; readonly egress?: Action }
  /** Sets that the source has names for. */
  readonly sets: ReadonlyMap<string, readonly string[]>
  readonly ingress: readonly MergedRule[]
  readonly egress: readonly MergedRule[]
}

/** More addresses than this stand in a set of their own. */
const mostInline = 6

/** Writes the parts of a firewall as a document; long lists of addresses become sets. */
export function toDocument(parts: Parts): ImportedDocument {
  const { external, defaults, nodeSelector } = parts
  const merged = [...parts.ingress, ...parts.egress]
  const names = nameRules(merged)
  const sets = new Map(parts.sets)
  const rules = merged.map((rule, index) => ({
    ...names[index],
    ...toRule(rule, index >= parts.ingress.length, sets),
  }))
  return {
    apiVersion: 'node-firewall.io/v1',
    kind: 'Ruleset',
    metadata: { name: parts.name },
    spec: {
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      ...(external === undefined ? {} : { interfaces: { external } }),
      ...(Object.keys(defaults).length === 0 ? {} : { defaults }),
      ...(sets.size === 0 ? {} : { sets: Object.fromEntries(sets) }),
      ...(rules.length === 0 ? {} : { rules: rules.map((rule) => ({ name: 'rule', ...rule })) }),
    },
  }
}

function toRule(
  rule: MergedRule,
  outward: boolean,
  sets: Map<string, readonly string[]>,
): Omit<ImportedRule, 'name'> {
  const { interfaces, from, to, limits } = rule
  const protocols = rule.protocols.map(protocolName)
  const [protocol] = protocols
  return {
    ...(outward ? { direction: 'egress' as const } : {}),
    action: rule.action,
    ...(protocol === undefined ? {} : { protocol: protocols.length === 1 ? protocol : protocols }),
    ...(rule.ports === undefined
      ? {}
      : { ports: rule.ports.map(({ first, last }) => (first === last ? first : `${first}-${last}`)) }),
    ...(rule.icmpTypes === undefined
      ? {}
      : { icmpTypes: rule.icmpTypes.map((type) => (/^\d+$/.test(type) ? Number(type) : type)) }),
    ...(from === undefined ? {} : { from: inSet(from, sets) }),
    ...(to === undefined ? {} : { to: inSet(to, sets) }),
    ...(interfaces === undefined ? {} : { interfaces }),
    ...limits,
    ...(rule.log ? { log: true as const } : {}),
  }
}

/** Whether two lists of interfaces are the same ones. */
export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join()
}

function inSet(addresses: readonly string[], sets: Map<string, readonly string[]>): readonly string[] {
  const wanted = addresses.toSorted().join()
  const known = [...sets].find(([, members]) => members.toSorted().join() === wanted)
  if (known !== undefined) return [known[0]]
  if (addresses.length <= mostInline) return addresses
  let number = 1
  while (sets.has(`addresses-${number}`)) number += 1
  sets.set(`addresses-${number}`, addresses)
  return [`addresses-${number}`]
}
