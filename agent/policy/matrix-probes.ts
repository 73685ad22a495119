import type { Family } from '../ruleset/address.ts'
import { hasPorts, protocolNumbers } from '../ruleset/protocol.ts'
import type { IcmpType, PortRange } from '../ruleset/ruleset.ts'
import { decidingRules } from './matrix-groups.ts'
import type { Policy, PolicyRule } from './policy.ts'
import { formatProtocol } from './verdict-near.ts'

/** One packet that stands for all whose ports, or ICMP types, no rule tells apart. */
export type Probe = {
  readonly protocol: number
  readonly port?: number
  readonly icmp?: { readonly type: number; readonly code: number }
  /** The ports or the ICMP types it stands for, or the name of the type; neither: what no rule mentions. */
  readonly range?: PortRange
  readonly label?: string
}

/** All that can reach a node over one protocol, as far as the rules tell it apart. */
export type ProbedProtocol = { readonly name: string; readonly probes: readonly Probe[] }

const highestPort = 65_535
const { tcp, udp, icmp, icmpv6 } = protocolNumbers

/** Finds what to ask of a policy so that the answers hold for every protocol, port and ICMP type. */
export function probesOf(policy: Policy, family: Family): readonly ProbedProtocol[] {
  const rules = decidingRules(policy)
  const mentioned = rules
    .flatMap(({ match }) => match.protocols ?? [])
    .filter((protocol) => protocol !== 'any')
  const [own, foreign] = family === 'ipv4' ? [icmp, icmpv6] : [icmpv6, icmp]
  const known = [...new Set([tcp, udp, own, ...mentioned])].filter((protocol) => protocol !== foreign)
  // 253 and 254 are for experiments (RFC 3692), the ones below them are not assigned.
  const other = [253, 254, 252, 251, 250].find((protocol) => !known.includes(protocol)) ?? 249
  return [
    ...known.map((protocol) => ({
      name: formatProtocol(protocol),
      probes: ofProtocol(protocol, rules, family),
    })),
    { name: 'other protocols', probes: [{ protocol: other }] },
  ]
}

function ofProtocol(protocol: number, rules: readonly PolicyRule[], family: Family): Probe[] {
  const own = rules.filter(
    ({ match: { protocols = ['any'] } }) => protocols.includes('any') || protocols.includes(protocol),
  )
  if (hasPorts(protocol)) {
    return segments(own.flatMap(({ match }) => match.ports ?? [])).map(({ range, isMentioned }) => ({
      protocol,
      port: range.first,
      ...(isMentioned ? { range } : {}),
    }))
  }
  const isIcmp = protocol === icmp || protocol === icmpv6
  return isIcmp ? icmpProbes(protocol, own, family) : [{ protocol }]
}

/** All ports, cut wherever a range begins or ends. */
function segments(
  ranges: readonly PortRange[],
): { readonly range: PortRange; readonly isMentioned: boolean }[] {
  const edges = new Set([1, ...ranges.flatMap(({ first, last }) => [first, last + 1])])
  const starts = [...edges].filter((edge) => edge <= highestPort).toSorted((a, b) => a - b)
  return starts.map((first, index) => ({
    range: { first, last: (starts[index + 1] ?? highestPort + 1) - 1 },
    isMentioned: ranges.some((range) => range.first <= first && first <= range.last),
  }))
}

function icmpProbes(protocol: number, rules: readonly PolicyRule[], family: Family): Probe[] {
  const echoRequest = family === 'ipv4' ? 8 : 128
  const mentioned = rules.flatMap(({ match }) => match.icmpTypes?.[family] ?? [])
  const types = new Map([{ type: echoRequest }, ...mentioned].map((type) => [JSON.stringify(type), type]))
  const sorted = [...types.values()].toSorted((a: IcmpType, b: IcmpType) => a.type - b.type)
  const used = new Set(sorted.map(({ type }) => type))
  const free = Array.from({ length: 256 }, (_, index) => 255 - index).find((type) => !used.has(type))
  return [
    ...sorted.map((type) => ({ protocol, ...nameType(type, echoRequest) })),
    ...(free === undefined ? [] : [{ protocol, icmp: { type: free, code: 0 } }]),
  ]
}

function nameType({ type, code }: IcmpType, echoRequest: number): Pick<Probe, 'icmp' | 'range' | 'label'> {
  const icmp = { type, code: code ?? 0 }
  if (code !== undefined) return { icmp, label: `${type}/${code}` }
  return type === echoRequest ? { icmp, label: 'echo-request' } : { icmp, range: { first: type, last: type } }
}
