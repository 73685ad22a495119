import type { Family } from '../ruleset/address.ts'
import { selfSet } from '../ruleset/built-in-sets.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { PortRange, Rule } from '../ruleset/ruleset.ts'
import { coversInterface } from './connection.ts'
import { isInline } from './matches.ts'
import { covers, rangesOf } from './ranges.ts'
import type { SymbolicAddresses, SymbolicRule } from './symbolic.ts'

/** Whether all that `inner` can match in these families, `outer` matches for certain. */
export function coversMatch(outer: SymbolicRule, inner: SymbolicRule, families: readonly Family[]): boolean {
  return (
    coversInterfaces(outer, inner) &&
    coversPorts(outer.ports, inner.ports) &&
    families.every(
      (family) =>
        coversProtocols(outer.rule, inner.rule, family) &&
        coversTypes(outer.rule, inner.rule, family) &&
        coversAddresses(outer.from, inner.from, family) &&
        coversAddresses(outer.to, inner.to, family) &&
        seesAsDialled(outer, inner, family),
    )
  )
}

function coversInterfaces(outer: SymbolicRule, inner: SymbolicRule): boolean {
  if (outer.interfaces === 'any') return true
  if (inner.interfaces === 'any' || (inner.orMetadata && !outer.orMetadata)) return false
  if (outer.interfaces === 'auto' || inner.interfaces === 'auto') return outer.interfaces === inner.interfaces
  const patterns = outer.interfaces
  return inner.interfaces.every((name) => patterns.some((pattern) => coversInterface(pattern, name)))
}

function coversPorts(outer: readonly PortRange[], inner: readonly PortRange[]): boolean {
  if (outer.length === 0) return true
  if (inner.length === 0) return false
  return inner.every(({ first, last }) => {
    let next = first
    for (const range of outer) {
      if (range.first > next) break
      next = Math.max(next, range.last + 1)
    }
    return next > last
  })
}

function coversProtocols(outer: Rule, inner: Rule, family: Family): boolean {
  if (outer.protocols.length === 0 || outer.protocols.includes('any')) return true
  if (inner.protocols.length === 0) return false
  const foreign = family === 'ipv4' ? protocolNumbers.icmpv6 : protocolNumbers.icmp
  return inner.protocols.every((protocol) => protocol === foreign || outer.protocols.includes(protocol))
}

function coversTypes(outer: Rule, inner: Rule, family: Family): boolean {
  if (outer.icmpTypes === undefined) return true
  const types = outer.icmpTypes[family]
  return (
    inner.icmpTypes?.[family].every(({ type, code }) =>
      types.some((other) => other.type === type && (other.code === undefined || other.code === code)),
    ) ?? false
  )
}

function coversAddresses(outer: SymbolicAddresses, inner: SymbolicAddresses, family: Family): boolean {
  if (outer.cidrs.some((cidr) => cidr.family === family && cidr.prefix === 0)) return true
  return (
    inner.sets.every((name) => outer.sets.includes(name)) &&
    covers(rangesOf(outer.cidrs, family), rangesOf(inner.cidrs, family))
  )
}

/**
 * Rules of egress match on the destination that was dialled too, unless their list is a set of the kernel: a
 * short list inside of a long one then matches what the long one does not.
 */
function seesAsDialled(outer: SymbolicRule, inner: SymbolicRule, family: Family): boolean {
  if (outer.rule.flow === 'ingress' || outer.rule.flow === 'podIngress') return true
  if (outer.to.cidrs.some((cidr) => cidr.family === family && cidr.prefix === 0)) return true
  // Even a long list is compared with dialled metadata addresses where the rule names no interfaces.
  const isLike = outer.orMetadata || !inner.orMetadata
  if (isLike && JSON.stringify(outer.to) === JSON.stringify(inner.to)) return true
  return !outer.to.sets.includes(selfSet) && isInline(outer.to, family)
}
