import type { Family } from '../ruleset/address.ts'
import { protocolNames } from '../ruleset/protocol.ts'

/** Names that scripts use for protocols beside those of the ruleset language, from /etc/protocols. */
const moreProtocols: Readonly<Record<string, number>> = {
  'ipv6-icmp': 58,
  icmp6: 58,
  igmp: 2,
  ipencap: 4,
  ipv6: 41,
  ah: 51,
  ospf: 89,
  vrrp: 112,
  udplite: 136,
}

/** The number of a protocol; 0 for any; `undefined` for what is unknown. */
export function readProtocol(text: string): number | undefined {
  const name = text.toLowerCase()
  if (name === 'all' || name === 'any') return 0
  if (/^\d{1,3}$/.test(name)) return Number(name) <= 255 ? Number(name) : undefined
  return new Map(Object.entries({ ...protocolNames, ...moreProtocols })).get(name)
}

/** Services that firewalls name rather than number, from /etc/services. */
const services: Readonly<Record<string, number>> = {
  'ftp-data': 20,
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  http: 80,
  pop3: 110,
  ntp: 123,
  imap: 143,
  imap2: 143,
  snmp: 161,
  bgp: 179,
  ldap: 389,
  https: 443,
  'dhcpv6-client': 546,
  'dhcpv6-server': 547,
  submission: 587,
  ldaps: 636,
  imaps: 993,
  pop3s: 995,
  nfs: 2049,
  mysql: 3306,
  postgresql: 5432,
  mdns: 5353,
  'http-alt': 8080,
}

/** A port by number or name. */
export function readPort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text)
    ? Number(text)
    : new Map(Object.entries(services)).get(text.toLowerCase())
  return port !== undefined && port <= 65_535 ? port : undefined
}

const icmpNames: Readonly<Record<Family, Readonly<Record<string, string>>>> = {
  ipv4: {
    'echo-reply': '0',
    pong: '0',
    'destination-unreachable': '3',
    'network-unreachable': '3/0',
    'host-unreachable': '3/1',
    'protocol-unreachable': '3/2',
    'port-unreachable': '3/3',
    'fragmentation-needed': '3/4',
    'source-quench': '4',
    redirect: '5',
    'echo-request': '8',
    ping: '8',
    'router-advertisement': '9',
    'router-solicitation': '10',
    'time-exceeded': '11',
    'ttl-exceeded': '11',
    'ttl-zero-during-transit': '11/0',
    'ttl-zero-during-reassembly': '11/1',
    'parameter-problem': '12',
    'timestamp-request': '13',
    'timestamp-reply': '14',
  },
  ipv6: {
    'destination-unreachable': '1',
    'no-route': '1/0',
    'port-unreachable': '1/4',
    'packet-too-big': '2',
    'time-exceeded': '3',
    'ttl-exceeded': '3',
    'parameter-problem': '4',
    'bad-header': '4/0',
    'echo-request': '128',
    ping: '128',
    'echo-reply': '129',
    pong: '129',
    'router-solicitation': '133',
    'router-advertisement': '134',
    'neighbour-solicitation': '135',
    'neighbor-solicitation': '135',
    'neighbour-advertisement': '136',
    'neighbor-advertisement': '136',
    redirect: '137',
  },
}

/** Types that have one name in both families, so that one rule can stand for both. */
const namedTypes: Readonly<Record<Family, Readonly<Record<string, string>>>> = {
  ipv4: { 0: 'echo-reply', 8: 'echo-request' },
  ipv6: { 129: 'echo-reply', 128: 'echo-request' },
}

/** An ICMP type as the ruleset language writes it; `any` for all types. */
export function readIcmpType(text: string, family: Family): string | undefined {
  if (text === 'any' || (family === 'ipv4' && text === '255')) return 'any'
  const number = /^\d{1,3}(\/\d{1,3})?$/.test(text) ? text : icmpNames[family][text.toLowerCase()]
  if (number === undefined) return undefined
  return namedTypes[family][number.replace(/\/0$/, '')] ?? number
}

/** ICMP that always passes (the failsafes see to it), by the number of its type. */
const vitalTypes: Readonly<Record<Family, readonly number[]>> = {
  ipv4: [3, 11, 12],
  ipv6: [1, 2, 3, 4, 130, 131, 132, 133, 134, 135, 136, 137, 143],
}

export function isVitalIcmp(type: string, family: Family): boolean {
  return vitalTypes[family].includes(Number(type.split('/')[0]))
}
