import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Env } from './access.ts'

/**
 * The proxy that the environment names for an HTTPS server, by the rules that kubectl goes by (golang.org/x/net/http/
 * httpproxy): `NO_PROXY` lists names, with what is below them, addresses, networks, each with a port or without, or `*`;
 * what is on this host is asked without one.
 */
export function proxyFor(server: URL, env: Env): string | undefined {
  const proxy = env['HTTPS_PROXY'] || env['https_proxy'] || undefined
  if (proxy === undefined) return undefined
  const host = server.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  const port = server.port || '443'
  const spared = (env['NO_PROXY'] || env['no_proxy'] || '')
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
  if (isOnThisHost(host) || spared.some((entry) => names(entry, host, port))) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

function isOnThisHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function names(entry: string, host: string, port: string): boolean {
  if (entry === '') return false
  if (entry === '*') return true
  const [address = '', prefix] = entry.split('/')
  if (prefix !== undefined) return isIP(address) !== 0 && holds(address, Number(prefix), host)
  const [, of = entry, only = port] = isIPv6(entry) ? [] : (/^(.+):(\d+)$/.exec(entry) ?? [])
  const name = of.replace(/^\[(.*)\]$/, '$1').replace(/^\*\./, '.')
  if (only !== port) return false
  return name.startsWith('.') ? host.endsWith(name) : host === name || host.endsWith(`.${name}`)
}

function holds(address: string, prefix: number, host: string): boolean {
  if (isIP(host) === 0 || isIP(host) !== isIP(address)) return false
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  try {
    list.addSubnet(address, prefix, family)
  } catch {
    return false
  }
  return list.check(host, family)
}
