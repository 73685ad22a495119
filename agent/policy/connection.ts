import { parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Flow } from '../ruleset/ruleset.ts'
import type { Policy } from './policy.ts'
import { holds, rangesOf, toNumber } from './ranges.ts'

/** The first packet of a connection as the filter table sees it: after any translation of its destination. */
export type Connection = {
  readonly family: Family
  /** IP protocol number. */
  readonly protocol: number
  readonly from: string
  readonly fromPort?: number
  /** Where the client sent it. */
  readonly dialled: Destination
  /** Where it goes; the same as `dialled` when nothing was translated. */
  readonly real: Destination
  /** Interface it comes in on; absent: a process of this node opened it. */
  readonly in?: string
  /** Interface it goes out on; absent: it ends at a process of this node. */
  readonly out?: string
  readonly icmp?: { readonly type: number; readonly code: number }
}

export type Destination = { readonly address: string; readonly port?: number }

/** How the rules of one flow look at a connection. */
export type View = {
  readonly flow: Flow
  /** What `interfaces` is compared with; absent: it matches only rules that name none. */
  readonly interface?: string
  /** What `to` and `ports` are compared with: one of these has to match both. */
  readonly destinations: readonly SeenDestination[]
  /** Whether failsafes stand before the rules. */
  readonly failsafes: boolean
}

/** `inSets`: whether sets of the kernel, which look at the real destination alone, can be asked for it. */
export type SeenDestination = Destination & { readonly inSets: boolean }

const metadata = builtInSets.metadata.map(parseCidr)

/** The flows that a connection has to get through, in their order. All of them have to accept it. */
export function viewsOf(policy: Pick<Policy, 'external' | 'self'>, connection: Connection): readonly View[] {
  const { in: input, out, dialled, real, family } = connection
  if (input === undefined) return [outward('egress', connection)]
  const isExternal = policy.external.some((pattern) => pattern === 'any' || coversInterface(pattern, input))
  const podEgress = outward('podEgress', connection)
  if (isTranslated(connection)) {
    const asDialled = inward('ingress', input, dialled, false)
    if (isExternal) return [asDialled]
    return isIn(policy.self, dialled.address, family) ? [asDialled, podEgress] : [podEgress]
  }
  if (out === undefined) {
    const ingress = inward('ingress', input, real, true)
    return isMetadata(real.address, family) ? [podEgress, ingress] : [ingress]
  }
  const podIngress = inward('podIngress', input, real, true)
  return isExternal ? [podIngress] : [podIngress, podEgress]
}

/** Whether the destination is another than the client's: a NodePort, a ClusterIP, a load balancer's address. */
export function isTranslated({ dialled, real }: Connection): boolean {
  return toNumber(dialled.address) !== toNumber(real.address) || dialled.port !== real.port
}

export function isMetadata(address: string, family: Family): boolean {
  return isIn(metadata, address, family)
}

/** Whether an interface pattern, in which `+` at the end stands for any ending, stands for a name. */
export function coversInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

function inward(flow: Flow, input: string, destination: Destination, failsafes: boolean): View {
  return { flow, interface: input, destinations: [{ ...destination, inSets: true }], failsafes }
}

function outward(flow: Flow, connection: Connection): View {
  const { out, real, dialled } = connection
  const seen = [
    { ...real, inSets: true },
    ...(isTranslated(connection) ? [{ ...dialled, inSets: false }] : []),
  ]
  return { flow, ...(out === undefined ? {} : { interface: out }), destinations: seen, failsafes: true }
}

function isIn(cidrs: readonly Cidr[], address: string, family: Family): boolean {
  return holds(rangesOf(cidrs, family), toNumber(address))
}
