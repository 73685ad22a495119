import type { Family } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import { coversInterface } from './match.ts'
import type { Match } from './match.ts'
import { isVitalIcmp } from './names.ts'
import type { BaseChain } from './flat-rule.ts'
import type { SourceRule } from './source.ts'

const standing = new Set(['ESTABLISHED', 'RELATED', 'UNTRACKED'])

/** Why a rule needs no translation; empty when that is not worth a word; `undefined` when it needs one. */
export function explainCovered(
  rule: SourceRule,
  match: Match,
  base: BaseChain,
  family: Family,
): string | undefined {
  const { target, states, cap } = rule
  if (neverHere(match, base, family)) return ''
  if (cap?.side === 'set') return ''
  if (target.kind === 'none' && cap === undefined) return 'it only counts'
  if (states !== undefined && states.every((state) => standing.has(state))) {
    return denies(rule) ? undefined : 'what belongs to a connection that stands always passes'
  }
  if (onLoopback(match, base)) return denies(rule) ? undefined : 'loopback always passes'
  if (target.kind !== 'accept') return undefined
  const types = match.icmpTypes ?? []
  if (types.length > 0 && types.every((type) => isVitalIcmp(type, family))) {
    return 'ICMP that networks need always passes'
  }
  return isDhcp(rule, match) ? 'answers to DHCP always pass' : undefined
}

/** Why a rule cannot be translated; `undefined` when it can. */
export function explainLost(
  rule: SourceRule,
  match: Match,
  base: BaseChain,
  family: Family,
): string | undefined {
  const { target, states, cap, unknown } = rule
  const effect = effectOf(rule)
  if (unknown.length > 0) return `no words for ${unknown.join(', ')}; ${effect}`
  if (target.kind === 'other') return `no words for the target ${target.name}`
  if (states !== undefined && !states.includes('NEW')) {
    if (states.every((state) => standing.has(state))) return 'connections that stand always pass here'
    return `packets in state ${states.join(',')} have no words of their own; ${effect}`
  }
  if (onLoopback(match, base)) return 'loopback always passes here'
  if (target.kind !== 'accept' && match.icmpTypes?.every((type) => isVitalIcmp(type, family)) === true) {
    return 'ICMP that networks need always passes here'
  }
  if (cap?.side === 'within' && !/^(accept|log|return)$/.test(target.kind)) {
    return `a limit stands on what is accepted; ${effect}`
  }
  const [port] = match.ports ?? []
  if (
    base === 'OUTPUT' &&
    denies(rule) &&
    match.ports?.length === 1 &&
    port?.first === 53 &&
    port.last === 53
  ) {
    return 'DNS of the node always passes here'
  }
  return base === 'FORWARD' ? explainForward(rule, match) : explainRedirected(rule, match)
}

/** Whether it is a rule that refuses by itself. */
function denies({ target }: SourceRule): boolean {
  return target.kind === 'drop' || target.kind === 'reject'
}

function effectOf(rule: SourceRule): string {
  if (denies(rule)) return 'what it denies is left to the rules after it'
  if (rule.target.kind === 'log') return 'it is not logged'
  if ('chain' in rule.target) return `it does not lead to chain ${rule.target.chain}`
  return 'what it lets pass is left to the rules after it'
}

/** A packet that comes in has no interface to go out on, nor has one that the node sends one to come in on. */
function neverHere({ input, output, protocol }: Match, base: BaseChain, family: Family): boolean {
  // ICMP of the other family comes in no packet of this one.
  if (protocol === (family === 'ipv4' ? protocolNumbers.icmpv6 : protocolNumbers.icmp)) return true
  return (base === 'INPUT' && output !== undefined) || (base === 'OUTPUT' && input !== undefined)
}

function onLoopback({ input, output }: Match, base: BaseChain): boolean {
  const names = base === 'OUTPUT' ? output : input
  return names !== undefined && names.every((name) => coversInterface('lo', name))
}

function isDhcp({ unknown }: SourceRule, { protocol, ports }: Match): boolean {
  const [source] = unknown
  if (unknown.length !== 1 || protocol !== 17 || ports?.length !== 1) return false
  const port = ports[0]?.first === ports[0]?.last ? ports[0]?.first : undefined
  return (
    (port === 68 && /^--s(ource-)?ports? (67|bootps)$/.test(source ?? '')) ||
    (port === 546 && /^--s(ource-)?ports? (547|dhcpv6-server)$/.test(source ?? ''))
  )
}

/** Of what is forwarded, only what clients dial at the node has a rule: their port before it was redirected. */
function explainForward({ target }: SourceRule, match: Match): string | undefined {
  if (target.kind === 'jump' || target.kind === 'goto' || target.kind === 'return') return undefined
  if (match.dialledPorts === undefined) {
    return 'routed traffic is carried over only where the rule asks for the port that was dialled (--ctorigdstport)'
  }
  const beside = [
    match.ports === undefined ? '' : '--dport beside --ctorigdstport',
    match.to === undefined ? '' : '-d beside --ctorigdstport',
    match.output === undefined ? '' : '-o',
  ].filter(Boolean)
  return beside.length === 0 ? undefined : `no words for ${beside.join(' and ')} of redirected connections`
}

function explainRedirected({ redirected }: SourceRule, match: Match): string | undefined {
  if (redirected) return 'a rule holds for connections whether they were redirected or not'
  const twice = match.dialledPorts !== undefined && match.ports !== undefined
  return twice ? 'no words for two destination ports at once' : undefined
}
