import type { Cidr, Family } from '../ruleset/address.ts'
import { extensionHeaders } from '../ruleset/protocol.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import type { Match } from './match.ts'
import { readIcmpType, readPort, readProtocol } from './names.ts'
import { invertNetworks, networksOfRange, readNetwork } from './networks.ts'
import { invertRanges, joinRanges } from './ranges.ts'
import type { Target } from './source.ts'

/** What is known of a rule while its words are read. */
export type Draft = {
  readonly family: Family
  match: Match
  except: { from?: readonly Cidr[]; to?: readonly Cidr[] }
  states: readonly string[] | undefined
  redirected: boolean
  comment: string | undefined
  target: Target
  /** Numbers to count to, by option, until the rule is whole. */
  readonly numbers: Map<string, string>
  readonly modules: string[]
  readonly unknown: string[]
}

/** Takes the value of an option into the draft; answers what is wrong with it, if anything is. */
export type Option = (draft: Draft, value: string, negated: boolean) => string | undefined | void

const conntrackStates = ['INVALID', 'NEW', 'ESTABLISHED', 'RELATED', 'UNTRACKED']

/** Options of iptables that take one value, under their shortest usual name. */
export const options: Readonly<Record<string, Option>> = {
  '-p': (draft, value, negated) => {
    const protocol = readProtocol(value)
    if (protocol === undefined) return 'a protocol of unknown number'
    if (negated) return 'a negated protocol'
    if (extensionHeaders.has(protocol)) return 'an IPv6 extension header'
    if (protocol !== 0) draft.match = { ...draft.match, protocol }
    return undefined
  },
  '-s': (draft, value, negated) => readAddresses(draft, 'from', value, negated),
  '-d': (draft, value, negated) => readAddresses(draft, 'to', value, negated),
  '-i': (draft, value, negated) => readInterface(draft, 'input', value, negated),
  '-o': (draft, value, negated) => readInterface(draft, 'output', value, negated),
  '--dport': (draft, value, negated) => readPorts(draft, 'ports', value, negated),
  '--dports': (draft, value, negated) => readPorts(draft, 'ports', value, negated),
  '--ctorigdstport': (draft, value, negated) => readPorts(draft, 'dialledPorts', value, negated),
  '--ctorigdst': (draft, value, negated) => {
    const network = readNetwork(value, draft.family)
    const dialled = negated ? invertNetworks([network], draft.family) : [network]
    draft.match = { ...draft.match, dialled }
  },
  '--ctdir': (_draft, value, negated) =>
    (value.toUpperCase() === 'ORIGINAL') === negated ? 'replies, which always pass' : undefined,
  '--ctproto': (draft, value, negated) => options['-p']?.(draft, value, negated),
  '--ctstate': readStates,
  '--icmp-type': readIcmp,
  '--comment': (draft, value) => void (draft.comment = value),
  '--src-range': (draft, value, negated) => readRange(draft, 'from', value, negated),
  '--dst-range': (draft, value, negated) => readRange(draft, 'to', value, negated),
  '--dst-type': (_draft, value, negated) =>
    value.toUpperCase() === 'LOCAL' && !negated ? undefined : 'a type of destination address',
  '-j': (draft, value) => void (draft.target = targetOf(value)),
  '-g': (draft, value) => void (draft.target = { kind: 'goto', chain: value }),
}

function readAddresses(
  draft: Draft,
  key: 'from' | 'to',
  value: string,
  negated: boolean,
): string | undefined {
  const networks = value.split(',').map((text) => readNetwork(text, draft.family))
  const everything = networks.some(({ prefix }) => prefix === 0)
  if (negated && everything) return 'the negation of all addresses, which matches nothing'
  if (negated) draft.except = { ...draft.except, [key]: networks }
  else if (!everything) draft.match = { ...draft.match, [key]: networks }
  return undefined
}

function readRange(draft: Draft, key: 'from' | 'to', value: string, negated: boolean): undefined {
  const [first = '', last = first] = value.split('-')
  const networks = networksOfRange(first, last, draft.family)
  if (negated) draft.except = { ...draft.except, [key]: networks }
  else draft.match = { ...draft.match, [key]: networks }
}

function readInterface(
  draft: Draft,
  key: 'input' | 'output',
  value: string,
  negated: boolean,
): string | undefined {
  if (!/^([A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{0,14}\+)$/.test(value)) return 'an odd interface name'
  // Loopback always passes, so that all but loopback is all.
  if (negated) return value === 'lo' ? undefined : 'a negated interface'
  if (value !== '+') draft.match = { ...draft.match, [key]: [value] }
  return undefined
}

function readPorts(
  draft: Draft,
  key: 'ports' | 'dialledPorts',
  value: string,
  negated: boolean,
): string | undefined {
  const ranges: PortRange[] = []
  for (const text of value.split(',')) {
    const [low = '', high] = text.split(':')
    const first = low === '' ? 1 : readPort(low)
    const last = high === undefined ? first : high === '' ? 65_535 : readPort(high)
    if (first === undefined || last === undefined) return 'a service of unknown port'
    if (last === 0 || first > last) return 'a port that nobody can use'
    ranges.push({ first: Math.max(1, first), last })
  }
  const joined = negated ? invertRanges(ranges) : joinRanges(ranges)
  if (joined.length === 0) return 'no port at all'
  draft.match = { ...draft.match, [key]: joined }
  return undefined
}

function readStates(draft: Draft, value: string, negated: boolean): string | undefined {
  const named = value.toUpperCase().split(',')
  const translated = named.filter((state) => state === 'DNAT' || state === 'SNAT')
  if (translated.length > 0) {
    if (negated || translated.includes('SNAT') || named.length > 1) return 'a state of address translation'
    draft.redirected = true
    return undefined
  }
  draft.states = negated ? conntrackStates.filter((state) => !named.includes(state)) : named
  return undefined
}

function readIcmp(draft: Draft, value: string, negated: boolean): string | undefined {
  const type = readIcmpType(value, draft.family)
  if (negated) return 'a negated ICMP type'
  if (type === undefined) return 'an unknown ICMP type'
  if (type !== 'any') draft.match = { ...draft.match, icmpTypes: [type] }
  return undefined
}

function targetOf(name: string): Target {
  switch (name) {
    case 'ACCEPT':
      return { kind: 'accept' }
    case 'DROP':
      return { kind: 'drop' }
    case 'REJECT':
      return { kind: 'reject' }
    case 'RETURN':
      return { kind: 'return' }
    case 'LOG':
      return { kind: 'log' }
    default:
      return extensions.has(name) ? { kind: 'other', name } : { kind: 'jump', chain: name }
  }
}

/** Targets of iptables-extensions(8): every other name is a chain's. */
const extensions: ReadonlySet<string> = new Set(
  (
    'AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DSCP ECN HL HMARK IDLETIMER LED MARK ' +
    'MASQUERADE NETMAP NFLOG NFQUEUE NOTRACK QUEUE RATEEST REDIRECT SECMARK SET SNAT SNPT SYNPROXY TCPMSS ' +
    'TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG TARPIT CHAOS DELUDE'
  ).split(' '),
)

/** Other names of the same options. */
export const aliases: Readonly<Record<string, string>> = {
  '--protocol': '-p',
  '--proto': '-p',
  '--source': '-s',
  '--src': '-s',
  '--destination': '-d',
  '--dst': '-d',
  '--in-interface': '-i',
  '--out-interface': '-o',
  '--destination-port': '--dport',
  '--destination-ports': '--dports',
  '--state': '--ctstate',
  '--icmpv6-type': '--icmp-type',
  '--jump': '-j',
  '--goto': '-g',
  '--match': '-m',
  '--table': '-t',
  '--append': '-A',
  '--insert': '-I',
  '--delete': '-D',
  '--check': '-C',
  '--replace': '-R',
  '--policy': '-P',
  '--new-chain': '-N',
  '--new': '-N',
  '--flush': '-F',
  '--delete-chain': '-X',
  '--list': '-L',
  '--list-rules': '-S',
  '--zero': '-Z',
  '--rename-chain': '-E',
  '--wait': '-w',
}
