import { isIP } from 'node:net'
import * as z from 'zod'
import type { Tunnel } from '../policy/policy.ts'
import { parseCidr } from '../ruleset/address.ts'
import { protocolNumbers } from '../ruleset/protocol.ts'
import type { Listening } from './sockets.ts'

const { tcp, udp } = protocolNumbers

/** What of a link `ip -json -details address show` tells about tunnels. */
export const tunnelFields = {
  flags: z.array(z.string()).optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z
        .object({ port: z.number(), local: z.string(), local6: z.string() })
        .partial()
        .optional()
        // What another kind calls by one of these names is nothing to us.
        .catch(undefined),
    })
    .optional(),
}

type Link = z.infer<z.ZodObject<typeof tunnelFields>> & { readonly ifname: string }

type Kind = { readonly protocols: readonly number[]; readonly port?: number }

/** Devices by the kind that the kernel calls them, and the ports they have where ip(8) does not print one. */
const kinds: ReadonlyMap<string, Kind> = new Map([
  ['vxlan', { protocols: [udp], port: 4789 }],
  ['geneve', { protocols: [udp], port: 6081 }],
  ['wireguard', { protocols: [udp] }],
  ['ipip', { protocols: [4] }],
  ['sit', { protocols: [41] }],
  ['ip6tnl', { protocols: [4, 41] }],
  ...['gre', 'gretap', 'ip6gre', 'ip6gretap', 'erspan', 'ip6erspan'].map((kind): [string, Kind] => [
    kind,
    { protocols: [47] },
  ]),
])

/**
 * Ports that Calico, Flannel (IPv4 and IPv6 each its own), kilo and Cilium give WireGuard. ip(8) does not print the port
 * of a device, and the socket in /proc/net/udp does not say whose it is: that something listens there has to do.
 */
const wireguardPorts: readonly number[] = [51_820, 51_821, 51_871]
const bgpPort = 179

/**
 * Finds the tunnels of pod networks among the devices that are up, and BGP by the port it listens on. A device that is
 * down carries nothing: loading a module makes some, such as tunl0, that nobody uses.
 */
export function findTunnels(links: readonly Link[], listening: readonly Listening[]): Tunnel[] {
  const found = links
    .filter(({ flags = [] }) => flags.includes('UP'))
    .flatMap((link) => tunnelOf(link, listening))
  const speaksBgp = listening.some(
    ({ protocol, port, address = '' }) => protocol === 'tcp' && port === bgpPort && !isLoopback(address),
  )
  const bgp: Tunnel = { kind: 'bgp', protocols: [tcp], ports: [bgpPort], locals: [] }
  return mergeAlike(speaksBgp ? [...found, bgp] : found)
}

function tunnelOf({ ifname, linkinfo }: Link, listening: readonly Listening[]): Tunnel[] {
  const { info_kind: name = '', info_data: data = {} } = linkinfo ?? {}
  const kind = kinds.get(name)
  if (kind === undefined) return []
  const ports = name === 'wireguard' ? openPorts(listening) : portsOf(ifname, kind, data.port)
  const locals = [data.local ?? '', data.local6 ?? ''].filter((text) => isIP(text) !== 0).map(parseCidr)
  return [
    {
      kind: name,
      protocols: kind.protocols,
      ...(ports.length === 0 ? {} : { ports }),
      device: ifname,
      locals,
    },
  ]
}

/** Open vSwitch names its devices by their port, of which ip(8) prints nothing where it takes any tunnel's packets. */
function portsOf(ifname: string, { port: usual }: Kind, printed: number | undefined): number[] {
  const inName = /^(?:genev|vxlan)_sys_(\d{1,5})$/.exec(ifname)?.[1]
  const port = printed ?? (inName === undefined ? usual : Number(inName))
  return port === undefined ? [] : [port]
}

function openPorts(listening: readonly Listening[]): number[] {
  const open = listening.filter(({ protocol, address }) => protocol === 'udp' && address === undefined)
  return wireguardPorts.filter((port) => open.some((socket) => socket.port === port))
}

/** kube-router has a device for each node: what a rule would say twice is one, and their names say nothing. */
function mergeAlike(tunnels: readonly Tunnel[]): Tunnel[] {
  const alike = Map.groupBy(tunnels, ({ kind, ports = [] }) => `${kind} ${ports.join()}`)
  return [...alike.keys()].toSorted().flatMap((key) => {
    const [first, ...others] = alike.get(key) ?? []
    if (first === undefined) return []
    const { device, ...tunnel } = first
    const locals = [first, ...others].flatMap((one) => one.locals)
    const distinct = [...new Map(locals.map((local) => [local.address, local])).values()]
    const sorted = distinct.toSorted((a, b) => (a.address < b.address ? -1 : 1))
    return [{ ...tunnel, ...(others.length > 0 || device === undefined ? {} : { device }), locals: sorted }]
  })
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}
