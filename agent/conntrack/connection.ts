import { builtInSets } from '../ruleset/built-in-sets.ts'
import type { Family } from '../ruleset/address.ts'
import type { Flow } from '../ruleset/ruleset.ts'
import type { Entry } from './entry.ts'

/** A standing connection in the terms of the rules. */
export type Connection = {
  readonly flow: Flow
  readonly family: Family
  /** IP protocol number. */
  readonly protocol: number
  readonly from: string
  readonly sourcePort?: number
  /** What the client addressed, and where that leads after NAT. */
  readonly dialled: Endpoint
  readonly real: Endpoint
  /** Came in on, or with egress flows goes out on; `undefined`: one that neither the node's list nor a rule names. */
  readonly interface: string | undefined
  readonly icmp?: { readonly type: number; readonly code: number }
}

export type Endpoint = { readonly address: string; readonly port?: number }

/** What of a node decides which way a connection goes past it. */
export type NodeView = {
  /** Every address of the node. */
  readonly self: ReadonlySet<string>
  /** Interfaces that face clients; `+` at the end stands for any ending. */
  readonly external: readonly string[]
  /** Interfaces that some rule names; with the external ones those that the verdict can depend on. */
  readonly named: readonly string[]
}

/** Where a connection comes in and goes out, as far as routes tell. */
export type Interfaces = { readonly in: string | undefined; readonly out: string | undefined }

const metadata: ReadonlySet<string> = new Set(builtInSets.metadata)

/**
 * The ways an entry goes past the node, which are none for loopback, and two for what a pod opens: rules for pods see
 * it by any interface that they name, and where it is translated also rules for clients of the node.
 */
export function connectionsOf(entry: Entry, node: NodeView, interfaces: Interfaces): Connection[] {
  const fromOutside = isExternal(node, interfaces.in)
  const toMetadata = metadata.has(entry.orig.dst) || metadata.has(entry.reply.src)
  const ingress = describe(entry, 'ingress', interfaces.in)
  const podEgress = describe(entry, 'podEgress', interfaces.out)
  switch (placeOf(entry, node)) {
    case 'loopback':
      return []
    case 'from the node':
      return [describe(entry, 'egress', interfaces.out)]
    case 'to the node':
      return toMetadata ? [ingress, podEgress] : [ingress]
    case 'redirected to the node':
      return fromOutside ? [ingress] : [ingress, podEgress]
    case 'forwarded': {
      // An address that is local all the same: those of Services under IPVS, of the node's DNS cache.
      if (interfaces.out === 'lo') return [ingress]
      const inward = entry.dnat ? ingress : describe(entry, 'podIngress', interfaces.in)
      return fromOutside ? [inward] : [inward, podEgress]
    }
  }
}

/** Where an entry begins and ends, which its addresses tell without any interface. */
export function placeOf({ family, orig, reply, dnat }: Entry, { self }: NodeView) {
  const toNode = self.has(reply.src) || isForAll(family, reply.src)
  if ([orig.src, orig.dst, reply.src].some((address) => isLoopback(family, address))) return 'loopback'
  if (self.has(orig.src)) return toNode && self.has(reply.src) ? 'loopback' : 'from the node'
  // Nobody forwards link-local addresses (RFC 4291, 2.5.6), and of two it cannot be told which is the node's.
  if (!toNode && [orig.src, reply.src].some((address) => /^fe[89ab]/.test(address))) return 'loopback'
  if (!toNode) return 'forwarded'
  return dnat ? 'redirected to the node' : 'to the node'
}

/** Whether an interface faces clients. */
export function isExternal({ external }: NodeView, name: string | undefined): boolean {
  if (name === undefined) return false
  return external.some((one) => (one.endsWith('+') ? name.startsWith(one.slice(0, -1)) : name === one))
}

function describe(
  { family, protocol, orig, reply, icmp }: Entry,
  flow: Flow,
  name: string | undefined,
): Connection {
  return {
    flow,
    family,
    protocol,
    from: orig.src,
    ...(orig.sport === undefined ? {} : { sourcePort: orig.sport }),
    dialled: { address: orig.dst, ...(orig.dport === undefined ? {} : { port: orig.dport }) },
    real: { address: reply.src, ...(reply.sport === undefined ? {} : { port: reply.sport }) },
    interface: name,
    ...(icmp === undefined ? {} : { icmp: { type: icmp.type, code: icmp.code } }),
  }
}

function isLoopback(family: Family, address: string): boolean {
  return family === 'ipv4' ? address.startsWith('127.') : address === '::1'
}

/** Multicast and the broadcast of the own network: a host of the network takes it in. */
function isForAll(family: Family, address: string): boolean {
  if (family === 'ipv6') return address.startsWith('ff')
  return address === '255.255.255.255' || /^2(2[4-9]|3\d)\./.test(address)
}
