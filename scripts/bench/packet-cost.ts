import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { staticSetName } from '../../agent/netfilter/ipset-text.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { program } from '../../agent/netfilter/tables.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import type { Host } from '../../test/sandbox/host.ts'
import { otherAddresses, spreadNetworks } from './networks.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { describeSamples, formatNumber, median } from './statistics.ts'
import { withSandbox } from './workshop.ts'

const setSizes = [10, 1_000, 10_000, 100_000]
const ruleCounts = [10, 100, 1_000, 10_000]
const rounds = 15

/** Of CPU time, for one sample. */
const sampleMs = 100

/** The kernel frees what a change of rules has replaced some ms later, on any core. */
const settlingMs = 20

/** Of one address all that is looked at stays in the processor's caches; of so many, nothing of a large set does. */
const traffics = [
  { traffic: 'one address', addresses: otherAddresses(1) },
  { traffic: '16,384 addresses', addresses: otherAddresses(16_384) },
]

type Case = {
  readonly name: string
  /** Networks in a set; absent for rules that are gone through one by one. */
  readonly setSize?: number
  readonly rules: readonly string[]
}

/** Nanoseconds for each round, by the name of the case. */
type Samples = Readonly<Record<string, readonly number[]>>

/**
 * What a datagram costs that is compared with lists of networks and is in none of them: lists in kernel sets, and
 * lists with a rule for each network. The datagrams leave a host whose OUTPUT compares them and then drops them, so
 * that little but the comparison counts. IPv4 only: the kernel looks into sets of IPv6 in the same way.
 *
 * The CPU time of the one process that sends is measured, which others on the machine hardly change. In each round
 * every case has its turn; compared is only within a round.
 */
export async function measurePacketCost(): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const { traffic, addresses } of traffics) {
      const { cases, samples } = await withSandbox(async ({ node }) => {
        const prepared = await prepare(node, backend)
        return { cases: prepared, samples: await measureCases(node, backend, prepared, addresses) }
      })
      rows.push(...judge(`${backend}, ${traffic}`, cases, samples))
    }
  }
  return rows
}

const nothing: Case = { name: 'nothing', rules: [] }

/** Makes a chain for each case; the first rule of OUTPUT leads to one of them. */
async function prepare(node: Host, backend: Backend): Promise<Case[]> {
  const sets = setSizes.map((size) => {
    const cidrs = mergeCidrs(spreadNetworks(size).map(parseCidr))
    return { size, set: { name: staticSetName('ipv4', cidrs), family: 'ipv4' as const, cidrs } }
  })
  await createIpsets(node.exec).prepare(
    sets.map(({ set }) => set),
    new Map(),
  )
  const cases: Case[] = [
    nothing,
    ...sets.map(({ size, set }) => ({
      name: `a set of ${size.toLocaleString('en')}`,
      setSize: size,
      rules: [`-m set --match-set ${set.name} dst -j ACCEPT`],
    })),
    ...ruleCounts.map((count) => ({
      name: `${count.toLocaleString('en')} rules`,
      rules: spreadNetworks(count).map((network) => `-d ${network} -j ACCEPT`),
    })),
  ]
  const lines = [
    '*filter',
    ...cases.map((_, index) => `:case-${index} - [0:0]`),
    '-A OUTPUT -o eth0 -p udp -j case-0',
    ...cases.flatMap(({ rules }, index) => [...rules, '-j DROP'].map((rule) => `-A case-${index} ${rule}`)),
    'COMMIT',
    '',
  ]
  await node.exec(program(backend, 'ipv4', 'restore'), ['--noflush'], { input: lines.join('\n') })
  return cases
}

async function measureCases(
  node: Host,
  backend: Backend,
  cases: readonly Case[],
  addresses: readonly string[],
): Promise<Samples> {
  const samples: Record<string, number[]> = {}
  const send = await createSender(node, addresses)
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { name }] of cases.entries()) {
      const rule = ['OUTPUT', '1', '-o', 'eth0', '-p', 'udp', '-j', `case-${index}`]
      await node.exec(`iptables-${backend}`, ['-R', ...rule])
      await pause(settlingMs)
      samples[name] = [...(samples[name] ?? []), await send()]
    }
  }
  return samples
}

/** Each call sends for a while and resolves to the nanoseconds of CPU time that one datagram took. */
async function createSender(node: Host, addresses: readonly string[]): Promise<() => Promise<number>> {
  const command = ['perl', join(import.meta.dirname, 'packet-sender.pl'), String(sampleMs)]
  const pinned = ['taskset', '--cpu-list', String(availableParallelism() - 1)]
  const canPin = await node.exec('taskset', ['--cpu-list', pinned.at(-1) ?? '', 'true']).then(
    () => true,
    () => false,
  )
  const [file = '', ...args] = canPin ? [...pinned, ...command] : command
  const input = addresses.map((address) => `${address}\n`).join('')
  return async () => Number((await node.exec(file, args, { input })).stdout)
}

function judge(where: string, cases: readonly Case[], samples: Samples): Row[] {
  const smallest = cases.find(({ setSize }) => setSize === setSizes[0])?.name ?? ''
  const sub = (name: string, other: string) =>
    (samples[name] ?? []).map((ns, round) => ns - (samples[other]?.[round] ?? Number.NaN))
  const ratio = (name: string, other: string) =>
    (samples[name] ?? []).map((ns, round) => ns / (samples[other]?.[round] ?? Number.NaN))
  console.log(`  ${where}`)
  return cases.flatMap(({ name, setSize = 0 }): Row[] => {
    const all = samples[name] ?? []
    const added = sub(name, nothing.name)
    console.log(`    ${name.padEnd(16)} ${describeSamples(all, 'ns')}, added ${describeSamples(added, 'ns')}`)
    const what = `packet, ${name}, ${where}`
    const times = `${formatNumber(median(all))} ns, of which ${formatNumber(median(added))} ns added`
    if (setSize < 10_000) return [{ what, measured: times }]
    const times10 = median(ratio(name, smallest))
    return [atMost(`${what}: ${smallest}`, times10, 1.5, 'x', times)]
  })
}
