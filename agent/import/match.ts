import { formatCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import type { PortRange } from '../ruleset/ruleset.ts'
import { intersectNetworks } from './networks.ts'
import { intersectRanges } from './ranges.ts'

/** What a rule asks of a new connection, as far as the ruleset language has words for it. Absent: anything. */
export type Match = {
  readonly input?: readonly string[]
  readonly output?: readonly string[]
  readonly protocol?: number
  /** Destination ports; the protocol has them. */
  readonly ports?: readonly PortRange[]
  /** Port and address that the client dialled, before it was redirected. */
  readonly dialledPorts?: readonly PortRange[]
  readonly dialled?: readonly Cidr[]
  /** As the language writes them: `echo-request`, `3`, `3/4`. */
  readonly icmpTypes?: readonly string[]
  readonly from?: readonly Cidr[]
  readonly to?: readonly Cidr[]
}

/** What both ask for; `undefined` when no packet meets both. */
export function intersect(a: Match, b: Match): Match | undefined {
  if (a.protocol !== undefined && b.protocol !== undefined && a.protocol !== b.protocol) return undefined
  const protocol = a.protocol ?? b.protocol
  const lists = {
    input: both(a.input, b.input, intersectInterfaces),
    output: both(a.output, b.output, intersectInterfaces),
    ports: both(a.ports, b.ports, intersectRanges),
    dialledPorts: both(a.dialledPorts, b.dialledPorts, intersectRanges),
    dialled: both(a.dialled, b.dialled, intersectNetworks),
    icmpTypes: both(a.icmpTypes, b.icmpTypes, intersectIcmpTypes),
    from: both(a.from, b.from, intersectNetworks),
    to: both(a.to, b.to, intersectNetworks),
  }
  if (Object.values(lists).some((list) => list?.length === 0)) return undefined
  return { ...(protocol === undefined ? {} : { protocol }), ...defined(lists) }
}

/** Equal for two matches that are met by the same packets, as far as that shows in how they are written. */
export function keyOf(match: Match): string {
  const { input, output, protocol, ports, dialledPorts, dialled, icmpTypes, from, to } = match
  const networks = (list: readonly Cidr[] | undefined) => sorted(list?.map(formatCidr))
  return [
    sorted(input),
    sorted(output),
    protocol ?? '*',
    ranges(ports),
    ranges(dialledPorts),
    networks(dialled),
    sorted(icmpTypes),
    networks(from),
    networks(to),
  ].join(' ')
}

function sorted(list: readonly string[] | undefined): string {
  return list?.toSorted().join() ?? '*'
}

function ranges(list: readonly PortRange[] | undefined): string {
  return list?.map(({ first, last }) => `${first}-${last}`).join() ?? '*'
}

/** Whether `pattern`, which may end in `+`, covers the name of an interface. */
export function coversInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

/** Without the keys whose value is `undefined`. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- fromEntries cannot say which keys are left
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

function both<T>(
  a: readonly T[] | undefined,
  b: readonly T[] | undefined,
  meet: (a: readonly T[], b: readonly T[]) => readonly T[],
): readonly T[] | undefined {
  return a === undefined ? b : b === undefined ? a : meet(a, b)
}

function intersectInterfaces(a: readonly string[], b: readonly string[]): string[] {
  const common = a.flatMap((one) =>
    b.flatMap((other) => (coversInterface(one, other) ? [other] : coversInterface(other, one) ? [one] : [])),
  )
  return [...new Set(common)]
}

function intersectIcmpTypes(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a.filter((type) => hasType(b, type)), ...b.filter((type) => hasType(a, type))])]
}

/** A type stands for all of its codes. */
function hasType(list: readonly string[], type: string): boolean {
  return list.includes(type) || list.includes(type.split('/')[0] ?? type)
}
