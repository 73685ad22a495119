import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { logTag, parseLogPrefix } from '../netfilter/log-text.ts'
import { nameProtocol, plainInterface } from './logged.ts'
import type { Logged } from './logged.ts'

/**
 * Reads a record of /dev/kmsg (kernel's Documentation/ABI/testing/dev-kmsg) that the target LOG has written
 * (nf_log_syslog.c): `6,1234,5678901,-;node-fw drop web/ssh IN=eth0 OUT= ... SRC=192.0.2.1 DST=...`. What makes no sense
 * is absent; nothing for lines of others, and for those that a program wrote there and not the kernel.
 */
export function readKernelLine(line: string): Logged | undefined {
  const [, priority, prefix, rest = ''] =
    new RegExp(`^(\\d+),[^;]*;(${logTag} [^=]{1,60}) (?=IN=)(.*)$`).exec(line) ?? []
  if (priority === undefined || prefix === undefined) return undefined
  // The number is 8 times that of the facility, which is 0 for the kernel alone, and the level.
  const name = Number(priority) < 8 ? parseLogPrefix(prefix) : undefined
  if (name === undefined) return undefined
  // An ICMP error holds the packet that it answers, in brackets and with the same words.
  const [own = ''] = rest.split(' [', 1)
  const words = new Map(
    own.split(' ').flatMap((word): [string, string][] => {
      const at = word.indexOf('=')
      return at < 1 ? [] : [[word.slice(0, at), word.slice(at + 1)]]
    }),
  )
  const number = (key: string) => {
    const text = words.get(key) ?? ''
    return /^\d{1,5}$/.test(text) ? Number(text) : undefined
  }
  const [type, code] = [number('TYPE'), number('CODE')]
  const all: Logged = {
    ...name,
    protocol: readProtocol(words.get('PROTO')),
    from: readAddress(words.get('SRC')),
    fromPort: number('SPT'),
    to: readAddress(words.get('DST')),
    port: number('DPT'),
    icmp: type === undefined ? undefined : `${type}/${code ?? 0}`,
    in: plainInterface(words.get('IN') ?? ''),
    out: plainInterface(words.get('OUT') ?? ''),
  }
  return all
}

/** A name in capitals, or a number; IPv6 has more names than the rule language. */
function readProtocol(text = ''): string | undefined {
  if (/^\d{1,3}$/.test(text)) return nameProtocol(Number(text))
  return /^[A-Za-z][A-Za-z0-9]{1,10}$/.test(text) ? text.toLowerCase() : undefined
}

/** The kernel prints all of an IPv6 address: `2001:0db8:0000:...`. */
function readAddress(text = ''): string | undefined {
  if (isIPv4(text)) return text
  return isIPv6(text) && !text.includes('%') ? ipaddr.IPv6.parse(text).toRFC5952String() : undefined
}
