import { readFile } from 'node:fs/promises'
import ipaddr from 'ipaddr.js'
import * as z from 'zod'
import { codeOf } from '../errors.ts'
import type { LegacyTables } from '../netfilter/tables.ts'
import type { NodeFacts } from '../policy/policy.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr, Family } from '../ruleset/address.ts'
import { CommandError } from './exec.ts'
import type { Exec, TargetPid } from './exec.ts'
import type { Listening } from './sockets.ts'
import { findTunnels, tunnelFields } from './tunnels.ts'

/**
 * Reads the interfaces of the namespace, their addresses, and which of them hold a default route in any routing table
 * (AWS keeps those of secondary interfaces in tables of their own), and which are tunnels.
 *
 * @param listening what listens in the namespace, by which tunnels without a port of their own are found
 * @throws {CommandError} when ip(8) fails
 */
export async function readNodeFacts(
  exec: Exec,
  listening: readonly Listening[] | Promise<readonly Listening[]> = [],
): Promise<NodeFacts> {
  const [{ links, routes, isDetailed }, sockets] = await Promise.all([readLinks(exec), listening])
  const interfaces = links.map(({ ifname }) => ifname)
  const external = defaultInterfaces(routes)
  return {
    interfaces,
    external: [...new Set(external)].toSorted(),
    addresses: ownAddresses(links),
    ...(isDetailed ? { tunnels: findTunnels(links, sockets) } : {}),
  }
}

type Links = {
  readonly links: z.infer<typeof linkList>
  /** Default routes of both families. */
  readonly routes: z.infer<typeof routeList>
  readonly isDetailed: boolean
}

/** Details are printed by a piece of ip(8) for each kind of device: where one errs, addresses must still be known. */
async function readLinks(exec: Exec): Promise<Links> {
  const show = async (...options: string[]) => {
    const { stdout } = await exec('ip', ['-json', ...options, '-batch', '-'], { input: questions })
    const [links = '', routes = ''] = stdout.split('\n')
    return { links: read(linkList, links), routes: read(routeList, routes) }
  }
  try {
    return { ...(await show('-details')), isDetailed: true }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { ...(await show()), isDetailed: false }
  }
}

/** Each is answered by one line. Where no family is named, routes in all tables are those of both. */
const questions = 'address show\nroute show table all default\n'

const linkList = z.array(
  z.object({
    ifname: z.string(),
    addr_info: z.array(z.object({ local: z.string().refine(ipaddr.isValid).optional() })).optional(),
    ...tunnelFields,
  }),
)
const routeList = z.array(
  z.object({
    dev: z.string().optional(),
    type: z.string().optional(),
    nexthops: z.array(z.object({ dev: z.string().optional() })).optional(),
  }),
)

/** ip(8) prints nothing at all, not even an empty list, where it has no objects of a kind. */
function read<T>(shape: z.ZodType<T>, json: string): T {
  try {
    return shape.parse(JSON.parse(json.trim() === '' ? '[]' : json))
  } catch (error) {
    throw new CommandError('running ip: its answer is not the JSON it should be', { cause: error })
  }
}

/**
 * Devices that hold addresses of Services, so that the kernel takes packets to them: kube-proxy's in IPVS mode,
 * kube-router's, and that of the node's DNS cache. Nothing but their names tells them from a node's own dummy device.
 */
const serviceDevices = new Set(['kube-ipvs0', 'kube-dummy-if', 'nodelocaldns'])

/** Kinds of addresses that no packet from another network comes to. */
const unreachable: ReadonlySet<string> = new Set(['loopback', 'linkLocal', 'ipv4Mapped'])

/** The scope of an address says too little: one of 169.254.0.0/16 that somebody added has scope global. */
function ownAddresses(links: z.infer<typeof linkList>): Cidr[] {
  const texts = links
    .filter(({ ifname }) => !serviceDevices.has(ifname))
    .flatMap(({ addr_info: addresses = [] }) => addresses.flatMap(({ local }) => local ?? []))
    .filter((text) => !unreachable.has(ipaddr.parse(text).range()))
  return [...new Set(texts)].toSorted().map(parseCidr)
}

/** Interfaces of default routes that lead somewhere; "unreachable default dev lo" does not. */
function defaultInterfaces(routes: z.infer<typeof routeList>): string[] {
  return routes
    .filter(({ type = 'unicast' }) => type === 'unicast')
    .flatMap(({ dev, nexthops = [] }) => [dev, ...nexthops.map((hop) => hop.dev)])
    .filter((dev): dev is string => dev !== undefined && dev !== 'lo')
}

/** Families that the namespace of a process has at all: IPv6 can be absent from a kernel. */
export async function readFamilies(targetPid: TargetPid): Promise<readonly Family[]> {
  const hasIpv6 = await readFile(`/proc/${targetPid}/net/if_inet6`).then(
    () => true,
    () => false,
  )
  return hasIpv6 ? ['ipv4', 'ipv6'] : ['ipv4']
}

/** Reads which tables the legacy backend holds; a kernel without it has no such file. */
export function createLegacyTables(targetPid: TargetPid): LegacyTables {
  return async (family) => {
    const name = family === 'ipv4' ? 'ip_tables_names' : 'ip6_tables_names'
    const text = await readFile(`/proc/${targetPid}/net/${name}`, 'utf8').catch(noFile)
    return text.split('\n').filter((line) => line !== '')
  }
}

function noFile(error: unknown): string {
  if (codeOf(error) === 'ENOENT') return ''
  throw error
}
