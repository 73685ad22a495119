import { isIP } from 'node:net'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import { readInside } from './read-inside.ts'

/**
 * Reads the name servers of the host that a process runs on, by its `/etc/resolv.conf`; where that names only the stub
 * of systemd-resolved, the servers behind it. Sorted. Undefined when they cannot be read, or when one that runs on the
 * host itself is asked: nobody knows whom that one asks.
 */
export async function readResolvers(targetPid: number, proc = '/proc'): Promise<readonly Cidr[] | undefined> {
  const root = join(proc, String(targetPid), 'root')
  try {
    const named = parseResolvers(await readInside(root, '/etc/resolv.conf'))
    const behind = named.some(isStub)
      ? parseResolvers(await readInside(root, '/run/systemd/resolve/resolv.conf'))
      : []
    const servers = distinct([...named.filter((server) => !isStub(server)), ...behind])
    return servers.length === 0 || servers.some(isLoopback) ? undefined : servers
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
  }
}

/** The addresses of the `nameserver` lines of a resolv.conf(5), each once; lines that name none are left out. */
export function parseResolvers(text: string): Cidr[] {
  const found = text.split('\n').flatMap((line) => {
    // A zone (fe80::1%eth0) says where the server is, and is no part of its address.
    const server = /^nameserver[ \t]+([^\s%]+)/.exec(line)?.[1] ?? ''
    return isIP(server) === 0 || /^::ffff:/i.test(server) ? [] : [parseCidr(server)]
  })
  return distinct(found)
}

function distinct(servers: readonly Cidr[]): Cidr[] {
  const once = [...new Map(servers.map((server) => [server.address, server])).values()]
  return once.toSorted((a, b) => (a.address < b.address ? -1 : 1))
}

function isStub({ address }: Cidr): boolean {
  return address === '127.0.0.53' || address === '127.0.0.54'
}

function isLoopback({ address }: Cidr): boolean {
  return address.startsWith('127.') || address === '::1'
}
