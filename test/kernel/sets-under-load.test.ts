import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Exec } from '../../agent/host/exec.ts'
import { isOurChain } from '../../agent/netfilter/chain.ts'
import { clusterSetName, isOurSet } from '../../agent/netfilter/ipset-text.ts'
import { noClusterFacts } from '../../agent/policy/policy.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { observe } from '../sandbox/observe.ts'
import type { Counts, Observer } from '../sandbox/observe.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { openTables, rulesetOf } from './enforce.ts'
import { createKeeper } from './keep.ts'
import type { Given, Keep } from './keep.ts'

const networks = 10_000
/** `npm run test:long` makes 50. */
const changes = Number(process.env['SET_CHANGES'] ?? 10)

/** Who sends to which port, what a rule says there of those in the list, and whether he is one of them. */
const streams = [
  { client: 'private', port: 5000, listed: 'accept', passes: true },
  { client: 'internet', port: 5001, listed: 'accept', passes: false },
  { client: 'private', port: 5002, listed: 'drop', passes: false },
  { client: 'internet', port: 5003, listed: 'drop', passes: true },
] as const

const [portsOfListed, portsOfOthers] = (['accept', 'drop'] as const).map((action) =>
  streams.filter(({ listed }) => listed === action).map(({ port }) => port),
)

/** As many networks in each family, other ones with each version but for the private client. */
function listNumber(version: number): string {
  const lines = Array.from({ length: networks - 1 }, (_, index) => {
    const place = index * 2 + (version % 2)
    return `10.${place >> 8}.${place & 255}.0/24\n2001:db8:${(place + 0x10_00).toString(16)}::/48\n`
  })
  return [...lines, ...families.map((family) => `${clientAddress.private[family]}\n`)].join('')
}

function given(version: number): Given {
  const rules = [
    { name: 'listed', action: 'accept', protocol: 'udp', ports: portsOfListed, from: ['list'] },
    { name: 'others', action: 'drop', protocol: 'udp', ports: portsOfListed },
    { name: 'not listed', action: 'drop', protocol: 'udp', ports: portsOfOthers, from: ['list'] },
  ]
  const text = rulesetOf({ sets: { list: { file: 'list.txt' } }, rules })
  return { files: { 'list.txt': listNumber(version), 'test.yaml': text } }
}

describe.each(await usableBackends())('sets on iptables-%s', (backend) => {
  let sandbox: Sandbox
  let observer: Observer
  let keep: Keep
  /** What was run on the node since the last look. */
  let runs: { program: string; input: string }[] = []

  beforeAll(async () => {
    sandbox = await createSandbox()
    observer = await observe(sandbox.node)
    await sandbox.node.exec('nft', ['-f', '-'], { input: swallow })
  })
  afterAll(async () => sandbox.close())
  beforeEach(async () => {
    const exec: Exec = async (program, args, options = {}) => {
      runs.push({ program, input: options.input ?? '' })
      return sandbox.node.exec(program, args, options)
    }
    keep = await createKeeper({ ...sandbox.node, exec }, backend)
  })
  afterEach(async () => {
    await keep({ files: { 'none.yaml': rulesetOf({ nodeSelector: { matchLabels: { no: 'node' } } }) } })
    expect(await readOurs()).toEqual({ chains: [], sets: [] })
  })

  /** Names of our chains and sets in the kernel. */
  const readOurs = async () => {
    const opened = await openTables(sandbox.node)
    const tables = await Promise.all(families.map(async (family) => opened.read(backend, family)))
    const { stdout } = await sandbox.node.exec('ipset', ['list', '-name'])
    return {
      chains: tables.flatMap((table) => [...table.keys()].filter(isOurChain)),
      sets: stdout.split('\n').filter(isOurSet).toSorted(),
    }
  }
  const writesOf = (what: readonly { program: string; input: string }[]) =>
    what.filter(({ program, input }) =>
      program === 'ipset' ? input !== '' && !input.startsWith('save ') : program.endsWith('-restore'),
    )

  test.each(families)(
    'while a long list changes, no packet is let in or kept out, %s',
    async (family) => {
      await keep(given(0))
      const first = await readOurs()
      const before = await observer.read()
      const sending = await Promise.all(
        streams.map(async ({ client, port }) => sandbox[client].stream(nodeAddress[family], port, 'blast')),
      )
      for (let version = 1; version <= changes; version += 1) await keep(given(version))
      for (const stream of sending) await stream.stop()
      const after = await readAtRest(observer)

      for (const { client, port, listed, passes } of streams) {
        const grown = (place: 'arrival' | 'input') =>
          after.at(place, 'udp', port) - before.at(place, 'udp', port)
        expect(grown('arrival'), `from ${client}, to port ${port}`).toBeGreaterThan(1000)
        expect(grown('input'), `from ${client}, to port ${port}, listed: ${listed}`).toBe(
          passes ? grown('arrival') : 0,
        )
      }
      // The version is an even one again, so its sets have the names that the first had.
      expect(await readOurs()).toEqual(first)
      expect(first.sets).toHaveLength(families.length)
    },
    180_000,
  )

  test('a node that comes or goes is one command, and no rule is written', async () => {
    const rule = { name: 'nodes', action: 'accept', protocol: 'tcp', ports: [9100], from: ['nodes'] }
    const files = { 'test.yaml': rulesetOf({ rules: [rule], defaults: { ingress: 'drop' } }) }
    const standing = ['192.0.2.1', '192.0.2.2', '2001:db8::1'].map(parseCidr)
    const pass = async (...addresses: string[]) => {
      runs = []
      const nodes = [...standing, ...addresses.map(parseCidr)]
      await keep({ files, cluster: { ...noClusterFacts, nodes }, reason: 'cluster' })
      return writesOf(runs).map(({ program, input }) => `${program}: ${input}`)
    }
    const [ipv4, ipv6] = families.map((family) => clusterSetName(family, 'nodes'))
    await pass()
    expect(await pass()).toEqual([])
    expect(await pass('192.0.2.3')).toEqual([`ipset: add ${ipv4} "192.0.2.3"\n`])
    expect(await pass('192.0.2.4')).toEqual([`ipset: add ${ipv4} "192.0.2.4"\ndel ${ipv4} "192.0.2.3"\n`])
    expect(await pass('192.0.2.4', '2001:db8::2')).toEqual([`ipset: add ${ipv6} "2001:db8::2"\n`])
    expect(await pass('192.0.2.4')).toEqual([`ipset: del ${ipv6} "2001:db8::2"\n`])
    expect((await readOurs()).sets).toEqual([ipv4, ipv6])
  })

  test('nodes that come and go in both families at once are in force after each pass', async () => {
    const rule = { name: 'nodes', action: 'accept', protocol: 'tcp', ports: [9100], from: ['nodes'] }
    const files = { 'test.yaml': rulesetOf({ rules: [rule], defaults: { ingress: 'drop' } }) }
    for (let round = 0; round < changes; round += 1) {
      const nodes = [`192.0.2.${round + 1}`, `2001:db8::${round + 1}`].map(parseCidr)
      await keep({ files, cluster: { ...noClusterFacts, nodes }, reason: 'cluster' })
    }
    expect((await readOurs()).sets).toEqual(families.map((family) => clusterSetName(family, 'nodes')))
  })
})

/** Behind all filters: an answer would make of a stream a connection that no set is asked about any more. */
const swallow = `table inet swallow {
  chain input {
    type filter hook input priority 500
    udp dport { ${streams.map(({ port }) => port).join(', ')} } drop
  }
}
`

/** The counts once nothing comes in any more. */
async function readAtRest(observer: Observer): Promise<Counts> {
  const arrived = (counts: Counts) => streams.map(({ port }) => counts.at('arrival', 'udp', port)).join(' ')
  for (let last = await observer.read(); ;) {
    const next = await observer.read()
    if (arrived(next) === arrived(last)) return next
    last = next
  }
}
