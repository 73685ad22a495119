import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import type { Protocol } from '../sandbox/protocol.ts'
import { enforce, rulesetOf } from './enforce.ts'
import { translated, translatePorts } from './translated-ports.ts'

type Form = {
  readonly name: string
  /** Ports as a rule names them, counted from the first of those that are tried. */
  readonly ports: readonly (number | readonly [first: number, last: number])[]
  readonly inside: readonly number[]
  readonly outside: readonly number[]
}

/** More than the 15 that one multiport match takes. */
const others = Array.from({ length: 20 }, (_, index) => 30 + index * 2)

const forms: readonly Form[] = [
  { name: 'one port', ports: [5], inside: [5], outside: [4, 6] },
  { name: 'a range', ports: [[1, 9]], inside: [1, 9], outside: [0, 10] },
  {
    name: 'two ranges that touch',
    ports: [
      [6, 9],
      [1, 5],
    ],
    inside: [1, 5, 6, 9],
    outside: [0, 10],
  },
  {
    name: 'two ranges with a gap',
    ports: [
      [1, 4],
      [6, 9],
    ],
    inside: [1, 4, 6, 9],
    outside: [0, 5, 10],
  },
  {
    name: 'a range among many ports',
    ports: [[1, 9], ...others],
    inside: [1, 9, 30, 68],
    outside: [0, 10, 29, 31, 67, 69],
  },
]

/** Where ports are tried: those of a process of the node, and those that the node translates to a pod's. */
const ways = [
  { way: 'of the node', firstPort: 9_300, host: 'node', lowerBy: 0 },
  { way: 'that are translated', firstPort: 26_000, host: 'pod', lowerBy: translated.lowerBy },
] as const

const cases = ways.flatMap((way) =>
  forms.map((form, index) => ({ ...way, ...form, firstPort: way.firstPort + index * 100 })),
)

describe.each(await usableBackends())('ports on iptables-%s', (backend) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ backend })
    await translatePorts(cluster, backend)
    const listening = cases.flatMap(({ host, firstPort, lowerBy, inside, outside }) =>
      [...inside, ...outside].flatMap((port) =>
        (['tcp', 'udp'] as const).map(async (protocol) =>
          cluster[host].listen(protocol, firstPort + port - lowerBy),
        ),
      ),
    )
    await Promise.all(listening)
  })
  afterAll(async () => cluster.close())

  describe.each([
    ['opened', 'accept', 'drop'],
    ['closed', 'drop', 'accept'],
  ] as const)('that a rule has %s', (_, action, other) => {
    beforeAll(async () => {
      const rules = cases.map(({ way, name, firstPort, ports }) => ({
        name: `${name} ${way}`,
        action,
        protocol: ['tcp', 'udp'],
        ports: ports.map((port) =>
          typeof port === 'number' ? firstPort + port : `${firstPort + port[0]}-${firstPort + port[1]}`,
        ),
      }))
      // Nobody dials the ports of the pod itself, so what is said of them must not matter.
      const ofPod = {
        name: 'ports of the pod',
        action: other,
        protocol: ['tcp', 'udp'],
        ports: [`${26_000 - translated.lowerBy}-${26_999 - translated.lowerBy}`],
      }
      const spec = { rules: [ofPod, ...rules], defaults: { ingress: other } }
      await enforce(cluster.node, backend, rulesetOf(spec))
      // A datagram may come from a port that one of before had, and would belong to what was accepted then.
      await cluster.node.exec('conntrack', ['--flush'])
    })

    test.each(cases)('$way, $name: both ends of a range and not its neighbours', async (one) => {
      const tries = [
        ...one.inside.map((port) => ({ port, verdict: action })),
        ...one.outside.map((port) => ({ port, verdict: other })),
      ]
      const probes = families.flatMap((family) =>
        (['tcp', 'udp'] as const).flatMap((protocol: Protocol) =>
          tries.map(async ({ port, verdict }) => {
            const expected = verdict === 'accept' ? 'accepted' : 'silence'
            const outcome = await cluster.internet.probe({
              protocol,
              address: clusterAddress.node[family],
              port: one.firstPort + port,
              ...(expected === 'accepted' ? { silenceMs: 5_000 } : {}),
            })
            return { name: `${family}, ${protocol}, ${port}`, outcome, expected }
          }),
        ),
      )
      const seen = await Promise.all(probes)
      expect(seen.map(({ name, outcome }) => `${name}: ${outcome}`)).toEqual(
        seen.map(({ name, expected }) => `${name}: ${expected}`),
      )
    })
  })
})
