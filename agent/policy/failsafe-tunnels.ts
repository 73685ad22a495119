import { formatCidr } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import { failsafe, membersOrPrivate, namedSets, only, withPrivate } from './failsafe-rule.ts'
import type { FailsafeSources } from './failsafe-rule.ts'
import type { Addresses, PolicyRule, Tunnel } from './policy.ts'

/** The pod network between nodes: `from` them what comes in, `to` them what goes out. */
export function tunnelsOf(side: 'from' | 'to', sources: FailsafeSources): PolicyRule[] {
  return (sources.facts.tunnels ?? []).flatMap((tunnel) => {
    if (isUnknownPort(tunnel)) return []
    const { kind, protocols, ports = [], device } = tunnel
    const { addresses, caveat } = peersOf(tunnel, side, sources)
    const name = [kind, ...(ports.length === 0 ? [] : [ports.join(' and ')])].join(' ')
    const of = device === undefined ? '' : ` of ${legible(device)}`
    const match = {
      protocols,
      ports: ports.map(only),
      ...(addresses === undefined ? {} : { [side]: addresses }),
    }
    return [failsafe('tunnels', match, `${name}${of}${caveat}`)]
  })
}

/** Nobody can tell which port packets of this tunnel come to. */
export function isUnknownPort({ protocols, ports = [] }: Tunnel): boolean {
  return protocols.includes(protocolNumbers.udp) && ports.length === 0
}

type Peers = { readonly addresses?: Addresses; readonly caveat: string }

function peersOf(tunnel: Tunnel, side: 'from' | 'to', sources: FailsafeSources): Peers {
  switch (tunnel.kind) {
    case 'wireguard':
      // It answers nobody whose key it does not know, and its peers may be no nodes: LKE's control plane is one.
      return { addresses: withPrivate(namedSets(['nodes', 'apiServers'], sources)), caveat: '' }
    case 'bgp':
      // Routers are peers too. Without the session that the node opens to them it loses its routes.
      if (side === 'to') return { caveat: '' }
      return membersOrPrivate(['nodes'], [], sources)
    default: {
      if (isElsewhere(tunnel, sources)) {
        return { addresses: withPrivate(['nodes']), caveat: '; its own address is none of nodes' }
      }
      return membersOrPrivate(['nodes'], [], sources)
    }
  }
}

/** Whether it speaks from another address than the one that others know the node by: its peers then do, too. */
function isElsewhere({ locals }: Tunnel, { cluster, facts, follows }: FailsafeSources): boolean {
  const nodes = cluster.nodes ?? (follows ? facts.remembered?.nodes : undefined)
  if (nodes === undefined) return false
  const known = new Set(nodes.map(formatCidr))
  return locals.some((local) => !known.has(formatCidr(local)))
}

/** Devices may have any name without a slash or a space in it; comments in the kernel may not. */
function legible(device: string): string {
  return device.replace(/[^A-Za-z0-9._@-]/g, '?')
}
