import { isIPv4, isIPv6 } from 'node:net'
import { parseCidr } from './address.ts'

/** Where a connection goes: an address, or a host name without a dot at its end. */
export type Endpoint = { readonly host: string; readonly port: number }

/**
 * Parses `192.0.2.1:443`, `[2001:db8::1]:443` or `example.com:443`. Without `defaultPort` the port must be there.
 *
 * @throws {Error} whose message says what is wrong.
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint {
  const found = `found ${JSON.stringify(text)}, expected`
  const [all, inBrackets, plain = '', port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? []
  if (all === undefined) throw new Error(`${found} an IPv6 address in brackets, such as ${example(text)}`)
  if (inBrackets !== undefined && !inBrackets.includes(':')) {
    throw new Error(`${found} an IPv6 address between the brackets`)
  }
  const host = inBrackets === undefined ? parseHost(plain) : parseAddress(inBrackets)
  if (port === undefined && defaultPort === undefined) {
    throw new Error(`${found} a port behind the host, such as "${text}:443"`)
  }
  return { host, port: port === undefined ? (defaultPort ?? 0) : parsePort(port, found) }
}

/** The inverse of parseEndpoint. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Parses the address of a DNS server: `10.96.0.10`, `2001:db8::53`, or with a port as endpoints have it. */
export function parseServer(text: string): Endpoint {
  if (isIPv6(text)) return { host: parseAddress(text), port: dnsPort }
  const server = parseEndpoint(text, dnsPort)
  if (isIPv4(server.host) || isIPv6(server.host)) return server
  throw new Error(`found ${JSON.stringify(text)}, expected the address of a DNS server`)
}

const dnsPort = 53

/** Parses an address of one host, in the form the kernel's tools print. */
export function parseAddress(text: string): string {
  const found = `found ${JSON.stringify(text)}, expected an address`
  if (text.includes('%')) throw new Error(`${found} without a zone ("%...")`)
  if (text.includes('/')) throw new Error(`${found}, not a network`)
  return parseCidr(text).address
}

/**
 * Parses a domain name: ASCII, 63 characters a label, 253 in all (RFC 1035). The dot at its end may be there, since
 * names are never looked up in search domains.
 */
export function parseDomain(text: string): string {
  const name = text.replace(/\.$/, '')
  const found = `found ${JSON.stringify(text)}, expected`
  if (name.length > 253 || !name.split('.').every((label) => domainLabel.test(label))) {
    throw new Error(`${found} a domain name, such as "example.com"`)
  }
  if (/(^|\.)onion$/i.test(name)) throw new Error(`${found} a name that DNS is asked for (RFC 7686)`)
  return name
}

const domainLabel = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

/** What ends in a number is meant as an address (WHATWG URL, 3.5); else 10.0.0.256 would be a name. */
function parseHost(text: string): string {
  return /(^|\.)[0-9]+$/.test(text) ? parseAddress(text) : parseDomain(text)
}

function parsePort(text: string, found: string): number {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new Error(`${found} a port from 1 to 65535`)
  return port
}

function example(text: string): string {
  const [, address = '', port = ''] = /^(.*):([0-9]+)$/.exec(text) ?? []
  return isIPv6(address) && !isIPv6(text) ? `"[${address}]:${port}"` : '"[2001:db8::1]:443"'
}
