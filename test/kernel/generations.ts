import type { Backend } from '../../agent/netfilter/backend.ts'
import { baseChains, isOurChain } from '../../agent/netfilter/chain.ts'
import { isOurSet } from '../../agent/netfilter/ipset-text.ts'
import { leadsToOurs } from '../../agent/netfilter/position.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Host } from '../sandbox/host.ts'
import { clientAddress } from '../sandbox/sandbox.ts'
import { openTables, rulesetOf } from './enforce.ts'

/** Closed to the internet in every generation, by a rule that names a long list. */
export const closedPort = 5003
/** Open in all of them. */
export const openPort = 5004
/** Of a server on the internet, which the node has to reach after each change. */
export const probedPort = 7000

/** So many that the text which fills a set does not fit between two processes at once. */
const networks = 5_000

/** As many networks in each family, other ones with each version, and always the client on the internet. */
function list(version: number): string {
  const lines = Array.from({ length: networks }, (_, index) => {
    const place = index * 2 + version
    return `10.${place >> 8}.${place & 255}.0/24\n2001:db8:${(place + 0x10_00).toString(16)}::/48\n`
  })
  return [...lines, ...families.map((family) => `${clientAddress.internet[family]}\n`)].join('')
}

const few = Array.from({ length: 20 }, (_, index) => [
  `192.0.2.${index * 2}`,
  `2001:db8:2::${index * 2}`,
]).flat()
const listed = { name: 'listed', action: 'drop', protocol: 'udp', ports: [closedPort], from: ['list'] }
const limited = { action: 'accept', protocol: 'tcp', limit: { rate: '10/second', per: 'source' } }
const probes = [{ name: 'server', tcp: `${clientAddress.internet.ipv4}:${probedPort}` }]
const sets = { list: { file: 'list.txt' } }

const withEgress = {
  sets,
  probes,
  rules: [
    listed,
    { name: 'web', ports: [80], ...limited },
    { name: 'out', direction: 'egress', action: 'drop', to: few, audit: true },
    {
      name: 'pods',
      direction: 'egress',
      endpoint: 'pods',
      action: 'reject',
      protocol: 'tcp',
      to: ['metadata'],
    },
  ],
}
const withoutEgress = {
  sets,
  probes,
  rules: [
    { name: 'alt', ports: [8080], ...limited },
    listed,
    { name: 'few', action: 'accept', protocol: 'tcp', ports: [22], from: few, log: true },
  ],
}
/** Its probe cannot pass any more. */
const cutsOff = {
  ...withEgress,
  rules: [...withEgress.rules, { name: 'all', direction: 'egress', action: 'reject', protocol: 'tcp' }],
}

/** Files of a mounted ConfigMap. They differ in chains, jumps, limits and sets; `a` and `switched` in one set alone. */
export const generations = {
  a: { 'worker.yaml': rulesetOf(withEgress), 'list.txt': list(0) },
  switched: { 'worker.yaml': rulesetOf(withEgress), 'list.txt': list(1) },
  b: { 'worker.yaml': rulesetOf(withoutEgress), 'list.txt': list(1) },
  none: { 'worker.yaml': rulesetOf({ nodeSelector: { matchLabels: { no: 'node' } } }), 'list.txt': '' },
  bad: { 'worker.yaml': rulesetOf(cutsOff), 'list.txt': list(1) },
} as const
export type Files = Readonly<Record<string, string>>

/** What one family's kernel holds of ours: chains, jumps to them, and the sets that their rules name. */
export async function readInForce(host: Host, backend: Backend, family: Family): Promise<string> {
  const table = await (await openTables(host)).read(backend, family)
  const lines = [...table]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([chain, { rules }]) => {
      const texts = rules.map(({ text }) => text).filter((text) => isOurChain(chain) || leadsToOurs(text))
      return [...(isOurChain(chain) ? [`:${chain}`] : []), ...texts.map((text) => `-A ${chain} ${text}`)]
    })
  const named = [...new Set(lines.flatMap((line) => /--match-set (\S+)/.exec(line)?.[1] ?? []))].toSorted()
  const elements = await Promise.all(
    named.map(async (name) => (await host.exec('ipset', ['save', name])).stdout),
  )
  const added = elements.flatMap((text) => text.split('\n').filter((line) => line.startsWith('add ')))
  return [...lines, ...added.toSorted()].join('\n')
}

/** Names of our chains and sets, used or not; marks of base chains that were made for us are none. */
export async function readNames(host: Host, backend: Backend): Promise<string[]> {
  const tables = await openTables(host)
  const read = await Promise.all(families.map(async (family) => tables.read(backend, family)))
  const chains = read.flatMap((table) => [...table.keys()].filter((name) => name.startsWith('node-firewall')))
  const marks = [...baseChains, 'table'].map((made) => `node-firewall-made-${made}`)
  const { stdout } = await host.exec('ipset', ['list', '-name'])
  const ours = stdout.split('\n').filter(isOurSet)
  return [...chains.filter((name) => !marks.includes(name)), ...ours].toSorted()
}
