import type { Dataplane, UntrackedRule } from '../bypass/dataplane.ts'
import { isWorthReading } from '../bypass/judge-tables.ts'
import { addVerdicts, parseNftTables } from '../bypass/nft-tables.ts'
import type { NftTable } from '../bypass/nft-tables.ts'
import { parseUntracked } from '../bypass/untracked.ts'
import { isExpected, messageOf } from '../errors.ts'
import { program } from '../netfilter/tables.ts'
import { families } from '../ruleset/address.ts'
import { readLinks, readPrograms, throughWhich } from './bpf-programs.ts'
import { readCiliumSettings } from './cilium-settings.ts'
import type { Exec, TargetPid } from './exec.ts'
import { createLegacyTables } from './network.ts'

/**
 * Reads what stands beside netfilter's filter table, as far as it concerns these interfaces. What cannot be read is
 * told in `unread`. Takes four processes, more where there are native nft tables or raw tables.
 *
 * @param external interfaces that face clients
 */
export async function readDataplane(
  exec: Exec,
  targetPid: TargetPid,
  external: readonly string[],
  proc = '/proc',
): Promise<Dataplane> {
  const unread: string[] = []
  const attempt = async <T>(what: string, instead: T, reading: Promise<T>): Promise<T> =>
    reading.catch((error: unknown) => {
      if (!isExpected(error)) throw error
      unread.push(`${what} cannot be read: ${messageOf(error)}`)
      return instead
    })
  const [interfaces, netfilter] = await Promise.all([
    attempt('what BPF does on this node', noInterfaces, readInterfaces(exec, targetPid, external, proc)),
    readNetfilter(exec, targetPid, attempt),
  ])
  return { ...interfaces, ...netfilter, unread }
}

type Attempt = <T>(what: string, instead: T, reading: Promise<T>) => Promise<T>
type AtInterfaces = Pick<Dataplane, 'programs' | 'unseen' | 'switched' | 'hasCalicoDevices' | 'cilium'>

const noInterfaces: AtInterfaces = { programs: [], unseen: [], switched: [], hasCalicoDevices: false }

async function readInterfaces(
  exec: Exec,
  targetPid: TargetPid,
  external: readonly string[],
  proc: string,
): Promise<AtInterfaces> {
  const links = await readLinks(exec)
  const facing = throughWhich(external, links)
  const has = (name: string) => links.some((link) => link.name === name)
  const [found, cilium] = await Promise.all([
    readPrograms(exec, facing),
    // HostDevice of pkg/defaults in Cilium: there whatever its settings are.
    has('cilium_host') ? readCiliumSettings(targetPid, proc) : undefined,
  ])
  return {
    ...found,
    switched: facing.filter(({ kind }) => kind === 'openvswitch').map(({ name }) => name),
    hasCalicoDevices: has('bpfin.cali'),
    ...(cilium === undefined ? {} : { cilium }),
  }
}

async function readNetfilter(
  exec: Exec,
  targetPid: TargetPid,
  attempt: Attempt,
): Promise<Pick<Dataplane, 'tables' | 'untracked'>> {
  const tables = await attempt('the nft tables of others', [], readTables(exec))
  const untracked = await attempt('the raw tables', [], readUntracked(exec, targetPid, tables))
  return { tables: tables.map(withoutIptables).filter(isLeft), untracked }
}

/** Tables that iptables-nft makes, and that are read as what they are. */
function isOfIptables({ family, name }: NftTable): boolean {
  return (
    (family === 'ip' || family === 'ip6') && ['raw', 'mangle', 'nat', 'filter', 'security'].includes(name)
  )
}

/** Somebody can have put base chains of another name into them, which iptables does not see. */
function withoutIptables(table: NftTable): NftTable {
  if (!isOfIptables(table)) return table
  const own = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])
  return { ...table, chains: table.chains.filter(({ name }) => !own.has(name)) }
}

function isLeft({ chains, flowtables }: NftTable): boolean {
  return chains.length > 0 || flowtables.length > 0
}

/** Base chains first, without any rule; then the rules of tables that can be of interest, without the sets' elements. */
async function readTables(exec: Exec): Promise<readonly NftTable[]> {
  const chains = await exec('nft', ['--json', 'list chains; list flowtables'])
  const tables = parseNftTables(chains.stdout)
  const wanted = tables.filter((table) => !isOfIptables(table) && isWorthReading(table))
  if (wanted.length === 0) return tables
  const commands = wanted.map(({ family, name }) => `list table ${family} ${name}`)
  const rules = await exec('nft', ['--json', '--terse', commands.join('; ')])
  const read = addVerdicts(wanted, rules.stdout)
  return tables.map((table) => read[wanted.indexOf(table)] ?? table)
}

/** Only raw tables that exist: naming one would create it. */
async function readUntracked(
  exec: Exec,
  targetPid: TargetPid,
  tables: readonly NftTable[],
): Promise<UntrackedRule[]> {
  const legacyTables = createLegacyTables(targetPid)
  const found = families.map(async (family) => {
    const nftFamily = family === 'ipv4' ? 'ip' : 'ip6'
    const inNft = tables.some((table) => table.family === nftFamily && table.name === 'raw')
    const inLegacy = (await legacyTables(family)).includes('raw')
    const backends = [...(inNft ? (['nft'] as const) : []), ...(inLegacy ? (['legacy'] as const) : [])]
    const texts = backends.map(async (backend) => exec(program(backend, family, 'save'), ['-t', 'raw']))
    return (await Promise.all(texts)).flatMap(({ stdout }) => parseUntracked(stdout, family))
  })
  return (await Promise.all(found)).flat()
}

/** How often at most, and which share of the time, reading may take: it seldom brings anything new. */
const pace = { shortestMs: 180_000, times: 500 }

/** What could not be read is tried again sooner; but passes wait for it, and a program that hangs takes its time. */
const paceAfterTrouble = { shortestMs: 15_000, times: 10 }

/** Reads anew only now and then, at once where other interfaces face clients; in between it is what it was. */
export function createDataplaneReader(
  read: (external: readonly string[]) => Promise<Dataplane>,
  now: () => number,
): (external: readonly string[]) => Promise<Dataplane> {
  let last: { readonly of: string; readonly until: number; readonly value: Dataplane } | undefined
  return async (external) => {
    const of = external.join(' ')
    const begun = now()
    if (last?.of === of && begun < last.until) return last.value
    const value = await read(external)
    const ended = now()
    const { shortestMs, times } = value.unread.length === 0 ? pace : paceAfterTrouble
    last = { of, until: ended + Math.max(shortestMs, (ended - begun) * times), value }
    return value
  }
}
