import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program } from '../../agent/netfilter/tables.ts'
import { largestInline } from '../../agent/policy/inline.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { rulesetOf } from './enforce.ts'
import { createKeeper } from './keep.ts'
import type { Keep } from './keep.ts'

/** A list of networks in a ruleset, and the client that is in it. */
type List = {
  readonly kind: 'inline' | 'file'
  readonly size: number
  readonly families: readonly Family[]
  readonly port: number
}

const member = clusterAddress.internet

const lists: readonly List[] = (['inline', 'file'] as const)
  .flatMap((kind) => [1, largestInline, largestInline + 1, 200].map((size) => ({ kind, size })))
  .flatMap((list) =>
    [['ipv4'], ['ipv6'], ['ipv4', 'ipv6']].map((own) => ({ ...list, families: own as readonly Family[] })),
  )
  .map((list, index) => ({ ...list, port: 9_100 + index }))

/** So many networks of each family, the member among them. Each port's are others, and each its own kernel set. */
function networksOf({ size, families: own, port }: List): string[] {
  return own.flatMap((family) => [
    ...Array.from({ length: size - 1 }, (_, index) =>
      family === 'ipv4' ? `100.${port % 100}.${index}.0/25` : `2001:db8:${port}:${index * 2}::/64`,
    ),
    member[family],
  ])
}

/** Closes or opens one port for each list, and leaves all others as `others` says. */
function rulesetOfLists(action: 'accept' | 'reject', others: 'accept' | 'reject') {
  const sets = lists.map((list) => {
    const networks = networksOf(list)
    return {
      ...list,
      name: `set${list.port}`,
      value: list.kind === 'inline' ? networks : { file: `${list.port}.txt` },
      text: networks.map((network) => `${network}\n`).join(''),
    }
  })
  const rules = sets.map(({ name, port }) => {
    return { name: `port ${port}`, action, protocol: 'tcp', ports: [port], from: [name] }
  })
  const spec = {
    sets: Object.fromEntries(sets.map(({ name, value }) => [name, value])),
    rules,
    defaults: { ingress: others },
  }
  const ofFiles = sets.filter(({ kind }) => kind === 'file').map(({ port, text }) => [`${port}.txt`, text])
  return {
    files: { ...(Object.fromEntries(ofFiles) as Record<string, string>), 'test.yaml': rulesetOf(spec) },
  }
}

describe.each(await usableBackends())('families on iptables-%s', (backend) => {
  let cluster: Cluster
  let keep: Keep
  beforeAll(async () => {
    cluster = await createCluster({ backend })
    keep = await createKeeper(cluster.node, backend)
    for (const { port } of lists) await cluster.node.listen('tcp', port)
  })
  afterAll(async () => cluster.close())

  const probe = async (client: 'internet' | 'private', address: string, port: number) =>
    cluster[client].probe({ protocol: 'tcp', address, port, silenceMs: 5_000 })

  describe.each([
    ['who may', 'accept', 'reject'],
    ['who may not', 'reject', 'accept'],
  ] as const)('lists of %s', (_, action, others) => {
    const verdicts = { accept: 'accepted', reject: 'refused' } as const
    beforeAll(async () => {
      await keep(rulesetOfLists(action, others))
    })

    test.each(lists)(
      '$kind, $size networks of $families: only these, and only in their family',
      async (list) => {
        const seen = families.flatMap((family) =>
          (['internet', 'private'] as const).map(async (client) => {
            return `${client} ${family}: ${await probe(client, clusterAddress.node[family], list.port)}`
          }),
        )
        const expected = families.flatMap((family) => [
          `internet ${family}: ${verdicts[list.families.includes(family) ? action : others]}`,
          `private ${family}: ${verdicts[others]}`,
        ])
        expect(await Promise.all(seen)).toEqual(expected)
      },
    )

    test('a rule is in the table of a family exactly when one of its networks is', async () => {
      for (const family of families) {
        const { stdout } = await cluster.node.exec(program(backend, family, 'save'), ['-t', 'filter'])
        const named = lists.filter(({ port }) => stdout.includes(`"test/port ${port}"`))
        expect(named.map(({ port }) => port)).toEqual(
          lists.filter((list) => list.families.includes(family)).map(({ port }) => port),
        )
      }
    })

    test('a long list is one kernel set in each of its families, a short one is none', async () => {
      const { stdout } = await cluster.node.exec('ipset', ['list', '-name'])
      for (const [family, prefix] of [
        ['ipv4', 'node-firewall4-'],
        ['ipv6', 'node-firewall6-'],
      ] as const) {
        const long = lists.filter((list) => list.size > largestInline && list.families.includes(family))
        expect(stdout.split('\n').filter((name) => name.startsWith(prefix))).toHaveLength(long.length)
      }
    })
  })

  test('what the node translates, what is routed to pods, and what is told by its destination', async () => {
    const many = (family: Family, ...more: readonly string[]) => [
      ...networksOf({ kind: 'inline', size: 20, families: [family], port: 9_000 }),
      ...more,
    ]
    const rule = { action: 'accept', protocol: 'tcp' }
    const { node } = clusterAddress
    const rules = [
      { name: 'node port long', ports: [30_080], from: ['long4'] },
      { name: 'node port short', ports: [30_081], from: [member.ipv6] },
      { name: 'node port file', ports: [30_083], from: ['file6'] },
      { name: 'node port destination', ports: [30_082], to: [node.ipv4] },
      { name: 'process destination', ports: [22], to: ['longTo6'] },
      { name: 'process short destination', ports: [9090], to: [node.ipv4] },
      { name: 'pods long', endpoint: 'pods', ports: [8080], from: ['long6'] },
      { name: 'pods short', endpoint: 'pods', ports: [8443], from: [member.ipv4] },
    ].map((one) => ({ ...rule, ...one }))
    const spec = {
      sets: {
        long4: many('ipv4'),
        long6: many('ipv6'),
        longTo6: many('ipv6', node.ipv6),
        file6: { file: 'six.txt' },
      },
      rules,
      defaults: { ingress: 'reject', podIngress: 'reject' },
    }
    const six = many('ipv6').join('\n')
    await keep({ files: { 'six.txt': `${six}\n`, 'test.yaml': rulesetOf(spec) } })
    const { pod } = clusterAddress
    const rows = [
      ['a NodePort, long list', node, 30_080, 'ipv4'],
      ['a NodePort, one address', node, 30_081, 'ipv6'],
      ['a NodePort, file', node, 30_083, 'ipv6'],
      ['a NodePort, by destination', node, 30_082, 'ipv4'],
      ['a process, by a long list of destinations', node, 22, 'ipv6'],
      ['a process, by destination', node, 9090, 'ipv4'],
      ['a pod, long list', pod, 8080, 'ipv6'],
      ['a pod, one address', pod, 8443, 'ipv4'],
    ] as const
    const seen = rows.map(async ([name, address, port, opened]) => {
      const outcomes = families.map(async (family) => probe('internet', address[family], port))
      return { name, outcomes: await Promise.all(outcomes), opened }
    })
    for (const { name, outcomes, opened } of await Promise.all(seen)) {
      const expected = families.map((family) => (family === opened ? 'accepted' : 'refused'))
      expect(outcomes, `to ${name}`).toEqual(expected)
    }
  })
})
