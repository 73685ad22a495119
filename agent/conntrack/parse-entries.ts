import type { Entry, Tuple } from './entry.ts'

/**
 * `ipv4 2 tcp 6 431999 ESTABLISHED src=... [UNREPLIED] src=... mark=0 zone=5 use=1 id=4161282853`: family and
 * protocol, seconds to live unless offloaded, state if the protocol has any, the two directions with whatever
 * belongs to each, and what belongs to both.
 */
const pattern = new RegExp(
  [
    String.raw`^(?<family>ipv[46]) +\d+ \S+ +(?<protocol>\d+) (?:\d+ )?(?:(?<state>[A-Z][A-Z0-9_]*) )?`,
    tuplePattern('orig'),
    String.raw`(?:type=(?<type>\d+) code=(?<code>\d+) id=(?<echo>\d+) )?`,
    String.raw`(?:zone-orig=(?<origZone>\d+) )?(?:\S+ )*?`,
    tuplePattern('reply'),
    String.raw`(?<both>.*)use=\d+(?: id=(?<id>\d+))?.*$`,
  ].join(''),
  'gm',
)

function tuplePattern(name: string): string {
  const ports = String.raw`(?:(?:sport|srckey)=(?<${name}Sport>\w+) (?:dport|dstkey)=(?<${name}Dport>\w+) )?`
  return String.raw`src=(?<${name}Src>\S+) dst=(?<${name}Dst>\S+) ${ports}`
}

/**
 * Parses what `conntrack -L -o extended,id` prints: one entry at a time, so that a large table need not be in
 * memory as objects all at once; 100,000 take 0.2 s. What is not an entry of IPv4 or IPv6 is left out.
 */
export function* parseEntries(text: string): Generator<Entry> {
  for (const { groups = {} } of text.matchAll(pattern)) yield toEntry(groups)
}

type Groups = Readonly<Record<string, string | undefined>>

function toEntry(groups: Groups): Entry {
  const { family, protocol, state, type, code, echo, id, origZone, both = '' } = groups
  const orig = toTuple(groups['origSrc'], groups['origDst'], groups['origSport'], groups['origDport'])
  const reply = toTuple(groups['replySrc'], groups['replyDst'], groups['replySport'], groups['replyDport'])
  return {
    family: family === 'ipv6' ? 'ipv6' : 'ipv4',
    protocol: Number(protocol),
    orig,
    reply,
    ...(type === undefined ? {} : { icmp: { type: Number(type), code: Number(code), id: Number(echo) } }),
    dnat: orig.dst !== reply.src || orig.dport !== reply.sport,
    snat: orig.src !== reply.dst || orig.sport !== reply.dport,
    ...(state === undefined ? {} : { state }),
    zone: Number(/(?:^| )zone=(\d+)/.exec(both)?.[1] ?? 0),
    ...(origZone === undefined ? {} : { origZone: Number(origZone) }),
    ...(id === undefined ? {} : { id: Number(id) }),
  }
}

function toTuple(src = '', dst = '', sport?: string, dport?: string): Tuple {
  if (sport === undefined || dport === undefined) return { src, dst }
  return { src, dst, sport: Number(sport), dport: Number(dport) }
}
