import { families, formatCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import type { FlatRule } from './flat-rule.ts'
import { defined } from './match.ts'
import type { Limits } from './source.ts'

/** A rule of both families, or of one. */
export type MergedRule = {
  readonly line: number
  readonly comment?: string
  readonly remark?: string
  readonly action: FlatRule['action']
  /** Empty: any. */
  readonly protocols: readonly number[]
  readonly ports?: readonly PortRange[]
  readonly icmpTypes?: readonly string[]
  /** Networks as text. */
  readonly from?: readonly string[]
  readonly to?: readonly string[]
  readonly interfaces?: readonly string[]
  readonly limits: Limits
  readonly log: boolean
}

const wholeFamily: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' }

/**
 * Makes one list of those of both families: what stands in both becomes one rule, what stands in one is pinned to
 * its family, and each family keeps its order. Rules of different families never meet the same packet.
 */
export function mergeFamilies(lists: Readonly<Record<Family, readonly FlatRule[]>>): MergedRule[] {
  const four = lists.ipv4.map((rule) => ({ rule, key: pairKey(rule) }))
  const six = lists.ipv6.map((rule) => ({ rule, key: pairKey(rule) }))
  const lengths = commonLengths(
    four.map(({ key }) => key),
    six.map(({ key }) => key),
  )
  const merged: MergedRule[] = []
  let i = 0
  let j = 0
  for (;;) {
    const [a, b] = [four[i], six[j]]
    if (a === undefined && b === undefined) return merged
    if (a !== undefined && b !== undefined && a.key === b.key) {
      merged.push(join(a.rule, b.rule))
      i += 1
      j += 1
    } else if (
      a !== undefined &&
      (b === undefined || lengthAt(lengths, i + 1, j) >= lengthAt(lengths, i, j + 1))
    ) {
      merged.push(pin(toMerged(a.rule), 'ipv4'))
      i += 1
    } else if (b !== undefined) {
      merged.push(pin(toMerged(b.rule), 'ipv6'))
      j += 1
    }
  }
}

/** Equal for rules of the two families that one rule can stand for. */
function pairKey({ action, match, limits, log }: FlatRule): string {
  const { input, output, protocol, ports, dialledPorts, icmpTypes } = match
  const addresses = { from: match.from !== undefined, to: addressesTo(match) !== undefined }
  // Two lists of sources times two of destinations would let one family's source pair with the other's target.
  const side = addresses.from && addresses.to ? JSON.stringify([match.from, addressesTo(match)]) : addresses
  const icmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6
  const counts = { ...limits.limit, ...limits.connections, ipv4Prefix: 0, ipv6Prefix: 0 }
  return JSON.stringify([
    action,
    log,
    input,
    output,
    icmp ? 'icmp' : protocol,
    ports,
    dialledPorts,
    icmpTypes,
    side,
    counts,
  ])
}

function addressesTo({ to, dialled }: FlatRule['match']): readonly Cidr[] | undefined {
  return to ?? dialled
}

function toMerged({ line, comment, remark, action, match, limits, log }: FlatRule): MergedRule {
  const { input, output, protocol, ports, dialledPorts, icmpTypes, from } = match
  return {
    line,
    action,
    limits,
    log,
    protocols: protocol === undefined ? [] : [protocol],
    ...defined({
      comment,
      remark,
      ports: ports ?? dialledPorts,
      icmpTypes,
      interfaces: input ?? output,
      from: from?.map(showNetwork),
      to: addressesTo(match)?.map(showNetwork),
    }),
  }
}

function join(four: FlatRule, six: FlatRule): MergedRule {
  const [a, b] = [toMerged(four), toMerged(six)]
  const limit = a.limits.limit && { ...a.limits.limit, ...b.limits.limit }
  const connections = a.limits.connections && { ...a.limits.connections, ...b.limits.connections }
  return {
    ...b,
    ...a,
    protocols: [...new Set([...a.protocols, ...b.protocols])],
    limits: defined({ limit, connections }),
    ...defined({ from: union(a.from, b.from), to: union(a.to, b.to) }),
  }
}

function union(a: readonly string[] | undefined, b: readonly string[] | undefined): string[] | undefined {
  return a === undefined && b === undefined ? undefined : [...new Set([...(a ?? []), ...(b ?? [])])]
}

/** Keeps a rule that only one family has from meaning the other too. */
function pin(rule: MergedRule, family: Family): MergedRule {
  const ownProtocols: readonly number[] = [protocolNumbers.icmp, protocolNumbers.icmpv6]
  const pinned =
    rule.from !== undefined || rule.to !== undefined || ownProtocols.includes(rule.protocols[0] ?? 0)
  return pinned ? rule : { ...rule, from: [wholeFamily[family]] }
}

/** A host without its prefix length, as people write it. */
export function showNetwork(cidr: Cidr): string {
  return cidr.prefix === (cidr.family === families[0] ? 32 : 128) ? cidr.address : formatCidr(cidr)
}

/** For each pair of starts, the length of the longest common subsequence from there on. */
function commonLengths(a: readonly string[], b: readonly string[]): Uint16Array[] {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const best =
        a[i] === b[j]
          ? lengthAt(rows, i + 1, j + 1) + 1
          : Math.max(lengthAt(rows, i + 1, j), lengthAt(rows, i, j + 1))
      rows[i]?.fill(best, j, j + 1)
    }
  }
  return rows
}

function lengthAt(rows: readonly Uint16Array[], i: number, j: number): number {
  return rows[i]?.[j] ?? 0
}
