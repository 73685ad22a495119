import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { isExpected } from '../errors.ts'
import type { Held } from '../host/held-connections.ts'
import type { ServerEndpoint } from '../policy/policy.ts'
import { keepMs, rememberServers } from '../policy/remember-servers.ts'
import type { KnownServer } from '../policy/remember-servers.ts'
import { formatCidr, parseCidr } from '../ruleset/address.ts'
import { createLookUps } from './look-ups.ts'

/** Whom the kubelet serves; `server`: what its kubeconfig says. */
export type ServedBy = { readonly pid: number; readonly server?: URL }

export type FinderEffects = {
  /** `thorough`: also one that was started since; undefined: none runs. */
  readonly readKubelet: (thorough: boolean) => Promise<ServedBy | undefined>
  /** Where this agent finds the API server, if it is part of a cluster. */
  readonly ownServer: (() => Promise<URL>) | undefined
  readonly lookUp: (host: string) => Promise<readonly string[]>
  readonly readHeld: (pid: number, port: number) => Promise<readonly Held[]>
  /** What was kept of it by the agents before. */
  readonly read: () => Promise<readonly KnownServer[] | undefined>
  readonly save: (servers: readonly KnownServer[]) => Promise<void>
  /** Waits so many ms. */
  readonly wait: (ms: number) => Promise<void>
  readonly now: () => number
  /** ms of a clock that nobody can set. */
  readonly elapsedMs: () => number
}

/** Where the kubelet and the agent find the API server; never rejects for what can happen on a node. */
export type FindServers = (thorough: boolean) => Promise<readonly ServerEndpoint[]>

/**
 * Finds it by what the kubeconfig of the kubelet says and the agent's own: an address, or what its name leads to. Of a
 * name the connections count too that the kubelet holds to that port: it may have been told other addresses than the
 * agent. What was seen is kept for days (docs/adr/0008-failsafes.md), so that rules do not come and go.
 */
export function createServerFinder(effects: FinderEffects): FindServers {
  const { now, elapsedMs } = effects
  const lookUps = createLookUps(effects.lookUp, effects.wait)
  const held = new Map<number, number>()
  let known: readonly KnownServer[] | undefined
  let kept: readonly KnownServer[] = []
  let own: URL | undefined

  const named = async (server: URL | undefined, of: ServerEndpoint['of']) => {
    if (server?.protocol !== 'https:') return []
    const host = server.hostname.replace(/^\[(.*)\]$/, '$1')
    const addresses = isIP(host) === 0 ? await lookUps.of(host) : [host]
    return addresses.flatMap((address) => toEndpoint(address, portOf(server), of))
  }
  const connected = async ({ pid, server }: ServedBy) => {
    if (server === undefined || isIP(server.hostname.replace(/^\[(.*)\]$/, '$1')) !== 0) return []
    const found = await effects.readHeld(pid, portOf(server)).catch(nothingExpected)
    const at = elapsedMs()
    for (const inode of held.keys()) if (found.every((one) => one.inode !== inode)) held.delete(inode)
    for (const { inode } of found) if (!held.has(inode)) held.set(inode, at)
    const standing = found.filter(({ inode }) => at - (held.get(inode) ?? at) >= heldMs)
    return standing.flatMap(({ peer }) => toEndpoint(peer, portOf(server), 'kubelet'))
  }
  const keep = async (servers: readonly KnownServer[]) => {
    if (!isWorthKeeping(servers, kept)) return
    await effects.save(servers)
    kept = servers
  }
  return async (thorough) => {
    if (known === undefined) kept = (await effects.read()) ?? []
    known ??= kept
    const kubelet = await effects.readKubelet(thorough)
    own ??= await effects.ownServer?.().catch(() => undefined)
    const seen = await Promise.all([
      named(kubelet?.server, 'kubelet'),
      kubelet === undefined ? [] : connected(kubelet),
      named(own, 'agent'),
    ])
    known = rememberServers(known, seen.flat(), now())
    await keep(known)
    return known.map(({ address, port, of }) => ({ address, port, of }))
  }
}

/** Whoever asks a pod whether it is well hangs up before; the connection to an API server stands for minutes and more. */
const heldMs = 10_000

/** Disks are written to when there is something new, and so often that nothing is forgotten that is still seen. */
function isWorthKeeping(servers: readonly KnownServer[], kept: readonly KnownServer[]): boolean {
  if (servers.length !== kept.length) return true
  return servers.some((server, index) => {
    const old = kept[index]
    return old === undefined || textOf(old) !== textOf(server) || server.seenAt - old.seenAt > keepMs / 4
  })
}

function textOf({ address, port, of }: ServerEndpoint): string {
  return `${formatCidr(address)} ${port} ${of}`
}

function portOf({ port }: URL): number {
  return port === '' ? 443 : Number(port)
}

/** Where a proxy of the node itself is asked, whom that one asks are endpoints. */
function toEndpoint(text: string, port: number, of: ServerEndpoint['of']): ServerEndpoint[] {
  if (!ipaddr.isValid(text) || notElsewhere.has(ipaddr.parse(text).range())) return []
  return [{ address: parseCidr(text), port, of }]
}

const notElsewhere: ReadonlySet<string> = new Set([
  'loopback',
  'unspecified',
  'multicast',
  'broadcast',
  'linkLocal',
  'ipv4Mapped',
])

function nothingExpected(error: unknown): readonly Held[] {
  if (!isExpected(error)) throw error
  return []
}
