import { messageOf } from '../errors.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { hasPorts, protocolNumbers } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import { meets, parseSelector } from './calico-selector.ts'
import { calicoRule, firstIssue } from './calico-schema.ts'
import type { CalicoRule } from './calico-schema.ts'
import { defined } from './match.ts'
import type { Match } from './match.ts'
import { readIcmpType, readProtocol } from './names.ts'
import { readNetwork } from './networks.ts'
import { invertRanges, joinRanges } from './ranges.ts'
import type { SourceRule, Target } from './source.ts'

export type NetworkSet = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly nets: readonly Cidr[]
}

type Context = {
  readonly family: Family
  readonly line: number
  readonly text: string
  readonly sets: readonly NetworkSet[]
}

/** What a rule of a policy means in one family; `undefined`: nothing. */
export function readCalicoRule(raw: unknown, context: Context): SourceRule | undefined {
  const { family, line, text } = context
  const parsed = calicoRule.safeParse(raw)
  const base = { line, text, match: {}, except: {}, redirected: false, unknown: [] }
  if (!parsed.success)
    return { ...base, target: { kind: 'other', name: 'none' }, unknown: [firstIssue(parsed.error)] }
  const rule = parsed.data
  if (rule.ipVersion !== undefined && (rule.ipVersion === 4) !== (family === 'ipv4')) return undefined
  const target = targetOf(rule.action)
  const name = rule.metadata?.annotations?.['name']
  try {
    const match = readMatch(rule, context)
    const except = defined({
      from: readNets(rule.source?.notNets, family),
      to: readNets(rule.destination?.notNets, family),
    })
    if (
      match === undefined ||
      [...(except.from ?? []), ...(except.to ?? [])].some(({ prefix }) => prefix === 0)
    )
      return undefined
    const given = Object.entries(except).filter(([, nets]) => nets.length > 0)
    return {
      ...base,
      target,
      match,
      except: Object.fromEntries(given),
      ...(name === undefined ? {} : { comment: name }),
    }
  } catch (error) {
    return { ...base, target, unknown: [messageOf(error)] }
  }
}

function targetOf(action: CalicoRule['action']): Target {
  switch (action) {
    case 'Allow':
      return { kind: 'accept' }
    case 'Deny':
      return { kind: 'drop' }
    case 'Log':
      return { kind: 'log' }
    case 'Pass':
      return { kind: 'other', name: 'Pass' }
  }
}

/** @throws {Error} saying what the ruleset language has no words for. */
function readMatch(rule: CalicoRule, context: Context): Match | undefined {
  const { source, destination } = rule
  if (source?.ports !== undefined || source?.notPorts !== undefined) throw new Error('source ports')
  const protocol = rule.protocol === undefined ? undefined : readProtocol(String(rule.protocol))
  if (rule.protocol !== undefined && protocol === undefined) throw new Error(`protocol ${rule.protocol}`)
  const ports = readPorts(destination?.ports, destination?.notPorts)
  if (ports !== undefined && !hasPorts(protocol ?? 'any'))
    throw new Error(`ports of protocol ${rule.protocol ?? 'any'}`)
  const from = readEnd(source, context)
  const to = readEnd(destination, context)
  // Addresses of the other family alone: nothing of this one matches.
  if (from?.length === 0 || to?.length === 0) return undefined
  return defined({
    protocol,
    ports,
    icmpTypes: readIcmp(rule, protocol, context.family),
    from: unlessAll(from),
    to: unlessAll(to),
  })
}

function readEnd(end: CalicoRule['source'], { family, sets }: Context): Cidr[] | undefined {
  const nets = readNets(end?.nets, family)
  if (end?.selector === undefined) return nets
  const terms = parseSelector(end.selector)
  const selected =
    terms === undefined || terms.length === 0 ? [] : sets.filter(({ labels }) => meets(terms, labels))
  if (selected.length === 0 || nets !== undefined) {
    throw new Error(`the selector "${end.selector}", which no GlobalNetworkSet of this file meets alone`)
  }
  return selected.flatMap((set) => set.nets).filter((net) => net.family === family)
}

function readNets(nets: readonly string[] | undefined, family: Family): Cidr[] | undefined {
  return nets
    ?.map((net) => (net.includes(':') ? readNetwork(net, 'ipv6') : readNetwork(net, 'ipv4')))
    .filter((net) => net.family === family)
}

function unlessAll(nets: readonly Cidr[] | undefined): readonly Cidr[] | undefined {
  return nets?.some(({ prefix }) => prefix === 0) === true ? undefined : nets
}

function readPorts(
  ports: readonly (string | number)[] | undefined,
  notPorts: readonly (string | number)[] | undefined,
): PortRange[] | undefined {
  if (ports !== undefined && notPorts !== undefined) throw new Error('ports beside notPorts')
  if (ports !== undefined) return joinRanges(ports.map(readPortRange))
  return notPorts === undefined ? undefined : invertRanges(notPorts.map(readPortRange))
}

function readPortRange(port: string | number): PortRange {
  const [first = Number.NaN, last = first] = String(port).split(':').map(Number)
  if (!(first >= 0 && last >= first && last <= 65_535)) throw new Error(`port "${port}"`)
  return { first: Math.max(1, first), last }
}

function readIcmp({ icmp }: CalicoRule, protocol: number | undefined, family: Family): string[] | undefined {
  if (icmp?.type === undefined && icmp?.code === undefined) return undefined
  if (icmp.type === undefined) throw new Error('icmp.code without icmp.type')
  if (protocol !== protocolNumbers.icmp && protocol !== protocolNumbers.icmpv6)
    throw new Error('icmp without the protocol ICMP or ICMPv6')
  const type = readIcmpType(icmp.code === undefined ? `${icmp.type}` : `${icmp.type}/${icmp.code}`, family)
  return type === undefined ? undefined : [type]
}

/** A set of the ruleset for each GlobalNetworkSet, under a name that rulesets can have. */
export function setNameOf(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, 40)
  return /^[A-Za-z]/.test(plain) ? plain : `set-${plain}`.slice(0, 40)
}

/** The networks of a set, strictly. */
export function readSetNets(nets: readonly string[]): Cidr[] {
  return nets.map((net) => parseCidr(net))
}
