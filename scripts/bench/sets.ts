import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createText, staticSetName } from '../../agent/netfilter/ipset-text.ts'
import type { Ipset } from '../../agent/netfilter/ipset-text.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import { parseAddressList } from '../../agent/ruleset/address-list.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import type { Host } from '../../test/sandbox/host.ts'
import { timeBare } from './bare.ts'
import { atMost } from './row.ts'
import type { Row } from './row.ts'
import { describeSamples, formatMs, median } from './statistics.ts'
import { withSandbox } from './workshop.ts'
import type { Workshop } from './workshop.ts'

const sizes = [10_000, 100_000]
const pairs = 5

/** The kernel frees a set some ms after it was destroyed. */
const settlingMs = 60

type Samples = {
  readonly parse: number[]
  readonly merge: number[]
  readonly agent: number[]
  readonly bare: number[]
}

/**
 * A new set of many networks: by the agent, from parsed networks to the end of its command; and by `ipset restore`
 * alone, given the same text.
 */
export async function measureSets({ folder }: Workshop): Promise<Row[]> {
  const rows: Row[] = []
  for (const size of sizes) {
    const file = join(folder, 'set')
    const samples = await withSandbox(async ({ node }) => measureSize(node, size, file))
    rows.push(...judge(size, samples))
  }
  return rows
}

async function measureSize(node: Host, size: number, file: string): Promise<Samples> {
  const ipsets = createIpsets(node.exec)
  const text = listText(size)
  const samples: Samples = { parse: [], merge: [], agent: [], bare: [] }
  for (let pair = 0; pair < pairs; pair += 1) {
    const parsedAt = performance.now()
    const { cidrs } = parseAddressList('list', text)
    samples.parse.push(performance.now() - parsedAt)
    const mergedAt = performance.now()
    const set = toSet(cidrs)
    samples.merge.push(performance.now() - mergedAt)

    await clear(node)
    const startedAt = performance.now()
    await ipsets.prepare([set], new Map())
    samples.agent.push(performance.now() - startedAt)

    await clear(node)
    const input = createText(set)
    samples.bare.push(timeBare(node.pid, { program: 'ipset', args: ['restore'], input, file }))
  }
  return samples
}

function toSet(cidrs: readonly Cidr[]): Ipset {
  const merged = mergeCidrs(cidrs)
  return { name: staticSetName('ipv4', merged), family: 'ipv4', cidrs: merged }
}

async function clear(node: Host): Promise<void> {
  await node.exec('ipset', ['destroy'])
  await pause(settlingMs)
}

/** Networks spread over all addresses, in no order and none beside another, each another one. */
function listText(size: number): string {
  const lines = Array.from({ length: size }, (_, index) => {
    const place = (index * 7_919) % 2 ** 20
    return `${16 + (place >> 13)}.${(place >> 5) & 255}.${(place & 31) * 8}.0/24\n`
  })
  return lines.join('')
}

function judge(size: number, { parse, merge, agent, bare }: Samples): Row[] {
  const name = `set of ${size.toLocaleString('en')} networks`
  const ratios = agent.map((ms, pair) => ms / (bare[pair] ?? Number.NaN))
  console.log(`  ${name}`)
  console.log(`    parse           ${describeSamples(parse)}`)
  console.log(`    merge and name  ${describeSamples(merge)}`)
  console.log(`    prepare         ${describeSamples(agent)}`)
  console.log(`    bare            ${describeSamples(bare)}`)
  console.log(`    ratio           ${describeSamples(ratios, 'x')}`)
  const times = `${formatMs(agent)} beside ${formatMs(bare)}`
  return [
    { what: `${name}: parse`, measured: formatMs(parse) },
    { what: `${name}: merge and name`, measured: formatMs(merge) },
    atMost(`${name}: bare ipset restore`, median(ratios), 1.3, 'x', times),
  ]
}
