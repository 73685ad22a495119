import { largestInline } from '../policy/inline.ts'
import type { Addresses, Match } from '../policy/policy.ts'
import { covers, formatCidr, parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Protocol } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import { formatRange, mergeRanges, protocolsOf, protocolTexts } from './protocol-text.ts'
import type { SetRegister } from './set-register.ts'

/**
 * What a rule's destination is compared with: `direct`, the packet's own; `dialled`, what the client used before
 * this node translated it, as conntrack remembers it; `either` of both.
 */
export type View = 'direct' | 'dialled' | 'either'

export type MatchContext = {
  readonly family: Family
  readonly view: View
  /** `-i` or `-o`: which interface of a packet the rule's interfaces are. */
  readonly interfaceFlag: '-i' | '-o'
  readonly sets: SetRegister
}

/** One match that a single iptables rule can hold, and the protocol it is limited to. */
export type MatchText = {
  readonly text: string
  readonly protocol: Protocol
  /** Whether it asks conntrack, so that it holds for nothing that conntrack calls INVALID. */
  readonly isTracked: boolean
}

/**
 * All matches that together say what a policy rule's match says, each in the text that `iptables-save` prints.
 * None, if it can match nothing in this family and view.
 *
 * @param splitTcp whether TCP has to be told from other protocols
 */
export function matchTexts(match: Match, context: MatchContext, splitTcp: boolean): MatchText[] {
  const scopes = scopesOf(match, context)
  const sources = addressTexts(match.from, 'src', context)
  return scopes.flatMap(({ interfaceText, to }) =>
    sources.flatMap((source) =>
      destinations(to, match, context, splitTcp).map(({ flag, protocolText, matches, ...rest }) => ({
        ...rest,
        text: [source.flag, flag, interfaceText, protocolText, source.match, ...matches]
          .filter((part) => part !== '')
          .join(' '),
      })),
    ),
  )
}

type Scope = { readonly interfaceText: string; readonly to: Addresses | undefined }

/** Where the rule looks at all: its interfaces, and for pods' egress the metadata addresses on any interface. */
function scopesOf(match: Match, { family, interfaceFlag }: MatchContext): Scope[] {
  const interfaces = match.interfaces?.map((name) => `${interfaceFlag} ${name}`) ?? ['']
  const scopes = interfaces.map((interfaceText) => ({ interfaceText, to: match.to }))
  if (match.orMetadata !== true || match.interfaces === undefined) return scopes
  const cidrs = metadata.filter(
    (address) => address.family === family && (match.to === undefined || contains(match.to.cidrs, address)),
  )
  return cidrs.length === 0 ? scopes : [...scopes, { interfaceText: '', to: { cidrs, sets: [] } }]
}

type Destination = Omit<MatchText, 'text'> & {
  readonly flag: string
  readonly protocolText: string
  readonly matches: readonly string[]
}

function destinations(
  to: Addresses | undefined,
  match: Match,
  context: MatchContext,
  splitTcp: boolean,
): Destination[] {
  const protocols = protocolsOf(match, context.family, splitTcp)
  const states = match.states === undefined ? '' : `-m conntrack --ctstate ${match.states.join(',')}`
  const direct = addressTexts(to, 'dst', context).flatMap(({ flag, match: setMatch }) =>
    protocols.flatMap((protocol) =>
      protocolTexts(match, protocol, context.family).map((protocolText) => ({
        flag,
        protocolText,
        matches: [setMatch, states],
        protocol,
        isTracked: states !== '',
      })),
    ),
  )
  if (context.view === 'direct') return direct
  const dialled = dialledTexts(to, match.ports ?? [], context).flatMap((conntrack) =>
    protocols.flatMap((protocol) =>
      protocolTexts({ ...match, ports: [] }, protocol, context.family).map((protocolText) => ({
        flag: '',
        protocolText,
        matches: [conntrack, states],
        protocol,
        isTracked: true,
      })),
    ),
  )
  if (context.view === 'dialled') return dialled
  // Where a rule asks for neither address nor port, both views say the same.
  return to === undefined && (match.ports ?? []).length === 0 ? direct : [...direct, ...dialled]
}

type AddressText = { readonly flag: string; readonly match: string }

const anywhere: AddressText = { flag: '', match: '' }

/** A match an address, one for a long list of them, one a set of the cluster. No address of this family: none. */
function addressTexts(
  addresses: Addresses | undefined,
  side: 'src' | 'dst',
  { family, sets }: MatchContext,
): AddressText[] {
  if (addresses === undefined) return [anywhere]
  const own = addresses.cidrs.filter((cidr) => cidr.family === family)
  if (own.some(({ prefix }) => prefix === 0)) return [anywhere]
  const setText = (name: string) => ({ flag: '', match: `-m set --match-set ${name} ${side}` })
  const flag = side === 'src' ? '-s' : '-d'
  return [
    ...(own.length > largestInline
      ? [setText(sets.ofCidrs(own))]
      : own.map((cidr) => ({ flag: `${flag} ${formatCidr(cidr)}`, match: '' }))),
    ...addresses.sets.map((set) => setText(sets.ofCluster(set))),
  ]
}

/** Matches of what the client used: conntrack holds one address and one range of ports to compare with. */
function dialledTexts(
  to: Addresses | undefined,
  ports: readonly PortRange[],
  context: MatchContext,
): string[] {
  const state = context.view === 'either' ? ' --ctstate DNAT' : ''
  const addresses = dialledAddresses(to, context)
  const ranges = mergeRanges(ports)
  const portTexts =
    ranges.length === 0 ? [''] : ranges.map((range) => ` --ctorigdstport ${formatRange(range)}`)
  return addresses.flatMap((address) =>
    portTexts.map((port) => {
      const options = `${state}${address}${port}`
      return options === '' ? '' : `-m conntrack${options}`
    }),
  )
}

function dialledAddresses(to: Addresses | undefined, { family, sets, view }: MatchContext): string[] {
  if (to === undefined) return ['']
  const own = to.cidrs.filter((cidr) => cidr.family === family)
  if (own.some(({ prefix }) => prefix === 0)) return ['']
  // What pods and processes dial is compared with short lists only: no kernel set can hold it against a list.
  if (view === 'either') return own.length > largestInline ? [] : own.map(originalDestination)
  const members = to.sets.flatMap((set) => sets.membersOf(set))
  return [...new Set([...own, ...members].map(originalDestination))]
}

/** Conntrack prints a single address without its prefix length. */
function originalDestination(cidr: Cidr): string {
  const single = cidr.prefix === (cidr.family === 'ipv4' ? 32 : 128)
  return ` --ctorigdst ${single ? cidr.address : formatCidr(cidr)}`
}

const metadata = builtInSets.metadata.map(parseCidr)

function contains(cidrs: readonly Cidr[], address: Cidr): boolean {
  return cidrs.some((cidr) => covers(cidr, address))
}
