import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { compilePolicy } from '../../agent/netfilter/compile.ts'
import { enforceFamily } from '../../agent/netfilter/enforce.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import type { SourceFile } from '../../agent/ruleset/parse.ts'
import { selectRulesets } from '../../agent/ruleset/select.ts'
import type { Labels } from '../../agent/ruleset/select.ts'
import { usableBackends } from '../sandbox/backends.ts'
import type { ClusterOptions } from '../sandbox/cluster.ts'
import type { Outcome, Protocol } from '../sandbox/protocol.ts'
import { openTables } from './enforce.ts'
import { addresses, createPresetCluster, goesOn, knownOfCluster } from './preset-cluster.ts'
import type { ClientName, PlaceName, PresetCluster } from './preset-cluster.ts'

/** A connection, and what comes of it: in both families the same, or in each its own. */
export type Row = readonly [
  name: string,
  from: ClientName,
  to: PlaceName,
  protocol: Protocol,
  port: number,
  expected: Outcome | Readonly<Record<Family, Outcome>>,
]

/** Where only the addresses of one family are named. */
export const onlyIpv4 = { ipv4: 'accepted', ipv6: 'refused' } as const
export const onlyIpv6 = { ipv4: 'refused', ipv6: 'accepted' } as const

export type Case = {
  /** Of the test, where the presets' names do not say it. */
  readonly name?: string
  readonly presets: readonly string[]
  readonly rows: readonly Row[]
} & EnforceOptions

type EnforceOptions = {
  /** Of the node; every preset must select it. */
  readonly labels?: Labels
  readonly cluster?: typeof knownOfCluster
  /** Changes the text of a file before it is parsed. */
  readonly edit?: (text: string, file: string) => string
  /** Texts of further rulesets. */
  readonly own?: readonly string[]
}

export type Lab = { readonly cluster: PresetCluster; readonly backend: Backend }

/**
 * A test for each case, on each backend: the rows of the case, and everything that goes on working under any preset.
 * Before, all of them are seen to get through without a preset, so that what is refused is refused by one.
 */
export function describePresets(
  title: string,
  cases: readonly Case[],
  options: Omit<ClusterOptions, 'backend'> = {},
  more: (lab: () => Lab) => void = () => {},
): void {
  describe.each(backends)(`${title}, on iptables-%s`, (backend) => {
    let cluster: PresetCluster
    beforeAll(async () => {
      cluster = await createPresetCluster({ ...options, backend })
    })
    afterAll(async () => cluster.close())

    test('without a preset every connection gets through', async () => {
      const all = [...goesOn, ...cases.flatMap(({ rows }) => rows)]
      const open = all.map(([name, from, to, protocol, port]): readonly [string, Row] => [
        `${from} ${to} ${protocol} ${port}`,
        [name, from, to, protocol, port, 'accepted'],
      ])
      await expectRows(cluster, [...new Map(open).values()])
    })

    test.each(cases.map((one) => [one.name ?? one.presets.join(' + '), one] as const))(
      '%s',
      async (_, one) => {
        await enforcePresets({ cluster, backend }, one.presets, one)
        await expectRows(cluster, [...goesOn, ...one.rows])
      },
    )

    more(() => ({ cluster, backend }))
  })
}

const backends = await usableBackends()

/** Puts presets in force on the node, as the agent would that finds their files in one ConfigMap. */
export async function enforcePresets(
  { cluster: { node }, backend }: Lab,
  presets: readonly string[],
  options: EnforceOptions = {},
): Promise<void> {
  const { labels = {}, cluster = knownOfCluster, edit = (text) => text, own = [] } = options
  const texts = await Promise.all(presets.map(async (preset) => readPreset(preset)))
  const files = [
    ...texts.flat().map(({ name, text }) => sourceFile(name, edit(text, name))),
    ...own.map((text, index) => sourceFile(`own-${index}.yaml`, text)),
  ]
  const parsed = parseRulesets(files)
  const selected = selectRulesets(parsed.rulesets, labels)
  expect([...parsed.problems, ...selected.problems].filter(({ severity }) => severity === 'error')).toEqual(
    [],
  )
  expect(selected.rulesets).toHaveLength(presets.length + own.length)
  const facts = await readNodeFacts(node.exec)
  const policy = resolvePolicy(selected.rulesets, { facts, cluster, now: Date.now() })
  const [tables, ipsets] = [await openTables(node), createIpsets(node.exec)]
  for (const family of families) {
    const desired = compilePolicy(policy, family)
    await enforceFamily({ tables, ipsets, backend, family, desired, mayHaveSets: true })
  }
  // Else a datagram from a port that was used before would belong to a connection that stands.
  await node.exec('conntrack', ['--flush'])
}

async function readPreset(preset: string): Promise<{ name: string; text: string }[]> {
  const folder = join(import.meta.dirname, '..', '..', 'rulesets', preset)
  const names = (await readdir(folder)).filter((name) => name !== 'kustomization.yaml')
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })))
}

function sourceFile(path: string, text: string): SourceFile {
  return { path, bytes: Buffer.from(text), ...(path.endsWith('.yaml') ? {} : { kind: 'data' }) }
}

/** Answers take well under 1 ms; only where none must come is it not worth while to wait for long. */
const patienceMs = 10_000

/** Makes all connections at once, in both families. */
export async function expectRows(cluster: PresetCluster, rows: readonly Row[]): Promise<void> {
  const seen = rows.flatMap(([name, from, to, protocol, port, expected]) =>
    families.map(async (family) => {
      const wanted = typeof expected === 'string' ? expected : expected[family]
      const wait = wanted === 'silence' ? {} : { silenceMs: patienceMs }
      const probe = { protocol, address: addresses[to][family], port, ...wait }
      const outcome = await cluster[from].probe(probe)
      return [`${name}, ${family}: ${outcome}`, `${name}, ${family}: ${wanted}`] as const
    }),
  )
  const pairs = await Promise.all(seen)
  expect(pairs.map(([outcome]) => outcome)).toEqual(pairs.map(([, wanted]) => wanted))
}
