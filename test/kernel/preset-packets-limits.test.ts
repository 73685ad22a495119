import { expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { addresses } from './preset-cluster.ts'
import type { ClientName, PlaceName } from './preset-cluster.ts'
import { describePresets, enforcePresets, onlyIpv4 } from './preset-packets.ts'
import type { Lab, Row } from './preset-packets.ts'

/** So slow that no bucket fills while a test runs; what passes is the burst. */
const slow = (text: string) => text.replaceAll(/rate: \d+\/\w+, burst: \d+/g, 'rate: 1/hour, burst: 3')

const few = (text: string) => text.replaceAll(/connections: \{ max: \d+/g, 'connections: { max: 2')

/** In IPv4 another source, in IPv6 one of the same /64. */
const neighbour = { ipv4: 'accepted', ipv6: 'silence' } as const

const open: readonly Row[] = [
  ['ssh', 'internet', 'node', 'tcp', 22, 'accepted'],
  ['the API server', 'internet', 'node', 'tcp', 6443, 'accepted'],
  ['a NodePort', 'internet', 'node', 'tcp', 30_080, 'accepted'],
  ['a NodePort, UDP', 'internet', 'node', 'udp', 30_053, 'accepted'],
  ['a hostPort', 'internet', 'node', 'tcp', 8443, 'accepted'],
  ["a load balancer's address", 'internet', 'loadBalancer', 'tcp', 443, 'accepted'],
  ['straight to a pod', 'internet', 'pod', 'tcp', 8080, 'accepted'],
  ['the node to ssh elsewhere', 'node', 'internet', 'tcp', 22, 'accepted'],
]

describePresets(
  'presets with limits',
  [
    { presets: ['flood-limits'], rows: open },
    {
      presets: ['lke-worker', 'nodeports-private', 'metadata-lockdown', 'flood-limits'],
      rows: [
        ['ssh from the internet', 'internet', 'node', 'tcp', 22, 'refused'],
        ['a NodePort from the internet, pod here', 'internet', 'node', 'tcp', 30_080, 'refused'],
        ['a NodePort from the internet, pod elsewhere', 'internet', 'node', 'tcp', 30_081, 'refused'],
        ['a NodePort from the internet, process', 'internet', 'node', 'tcp', 30_082, 'refused'],
        ['a NodePort from the internet, UDP', 'internet', 'node', 'udp', 30_053, 'refused'],
        // nodeports-private comes first, and means all private ranges; lke-worker alone would refuse IPv6.
        ['a NodePort from the private network', 'private', 'node', 'tcp', 30_080, 'accepted'],
        ['BGP from the private network, which lke-worker decides', 'private', 'node', 'tcp', 179, onlyIpv4],
        ['a hostPort', 'internet', 'node', 'tcp', 8443, 'refused'],
        ["a load balancer's address", 'internet', 'loadBalancer', 'tcp', 443, 'refused'],
        ['straight to a pod', 'internet', 'pod', 'tcp', 8080, 'accepted'],
        ['a pod to the metadata service', 'pod', 'metadata', 'tcp', 80, 'refused'],
        ['the node to the metadata service', 'node', 'metadata', 'tcp', 80, 'accepted'],
        ['a pod to ssh elsewhere', 'pod', 'internet', 'tcp', 22, 'accepted'],
      ],
    },
  ],
  {},
  limits,
)

function limits(lab: () => Lab): void {
  /** Makes connections one after the other, each of which comes out as said. */
  async function expectOutcomes(
    from: ClientName,
    [to, protocol, port]: readonly [PlaceName, 'tcp' | 'udp', number],
    family: Family,
    expected: readonly Outcome[],
  ): Promise<void> {
    const outcomes: Outcome[] = []
    for (const wanted of expected) {
      const wait = wanted === 'silence' ? {} : { silenceMs: 10_000 }
      const probe = { protocol, address: addresses[to][family], port, ...wait }
      outcomes.push(await lab().cluster[from].probe(probe))
    }
    const what = `${from} to ${to} ${protocol} ${port}, ${family}`
    expect({ what, outcomes }).toEqual({ what, outcomes: expected })
  }

  test('flood-limits, with bursts of three and rates so slow that nothing comes after: each source has its own', async () => {
    await enforcePresets(lab(), ['flood-limits'], { edit: slow })
    await inBoth(async (family) => {
      const three = ['accepted', 'accepted', 'accepted'] as const
      for (const target of [
        ['node', 'tcp', 22],
        ['node', 'tcp', 6443],
        ['node', 'udp', 30_053],
      ] as const) {
        await expectOutcomes('internet', target, family, [...three, 'silence'])
        await expectOutcomes('internet2', target, family, [neighbour[family]])
        await expectOutcomes('healthCheck', target, family, ['accepted'])
      }
      const [here, elsewhere, process, external] = [
        ['node', 'tcp', 30_080],
        ['node', 'tcp', 30_081],
        ['node', 'tcp', 30_082],
        ['loadBalancer', 'tcp', 443],
      ] as const
      // One bucket for all web ports and NodePorts, whoever answers.
      await expectOutcomes('internet', here, family, ['accepted'])
      await expectOutcomes('internet', elsewhere, family, ['accepted'])
      await expectOutcomes('internet', process, family, ['accepted'])
      for (const target of [here, elsewhere, process, external]) {
        await expectOutcomes('internet', target, family, ['silence'])
      }
      await expectOutcomes('healthCheck', external, family, ['accepted'])
      await expectOutcomes('private', here, family, [...three, 'accepted'])
      await expectOutcomes('private', ['node', 'tcp', 6443], family, [...three, 'accepted'])
      await expectOutcomes('private', ['node', 'tcp', 22], family, [...three, 'silence'])
      await expectOutcomes('internet', ['node', 'tcp', 8443], family, [...three, 'accepted'])
      await expectOutcomes('lan', ['nodeEth1', 'tcp', 22], family, [...three, 'accepted'])
    })
  })

  test('flood-limits, with bursts of three and rates so slow that nothing comes after: pings that begin', async () => {
    await enforcePresets(lab(), ['flood-limits'], { edit: slow })
    const { internet, private: privateHost } = lab().cluster
    await inBoth(async (family) => {
      const ping = async (host: typeof internet, count: number, waitS: number) => {
        const args = ['-q', '-c', `${count}`, '-i', '0.01', '-W', `${waitS}`, addresses.node[family]]
        const { stdout } = await host.exec('sh', ['-c', `ping ${args.join(' ')} || true`])
        return Number(/(\d+) received/.exec(stdout)?.[1])
      }
      // One that goes on is a connection that stands.
      const answered = [
        await ping(internet, 10, 10),
        await ping(internet, 1, 10),
        await ping(internet, 1, 10),
        await ping(internet, 1, 1),
        await ping(privateHost, 1, 10),
      ]
      expect({ family, answered }).toEqual({ family, answered: [10, 1, 1, 0, 1] })
    })
  })

  test('bastion, with a burst of three and a rate so slow that nothing comes after', async () => {
    const labels = { 'node-firewall.io/role': 'bastion' }
    await enforcePresets(lab(), ['bastion'], { labels, edit: slow })
    await inBoth(async (family) => {
      await expectOutcomes('internet', ['node', 'tcp', 22], family, [
        'accepted',
        'accepted',
        'accepted',
        'silence',
      ])
      await expectOutcomes('internet2', ['node', 'tcp', 22], family, [neighbour[family]])
      await expectOutcomes('private', ['node', 'tcp', 22], family, ['accepted'])
      await expectOutcomes('internet', ['node', 'tcp', 9090], family, ['refused'])
    })
  })

  test.each([
    ['a process', 'node', 22],
    ['a NodePort, pod here', 'node', 30_080],
    ['a NodePort, pod elsewhere', 'node', 30_081],
  ] as const)('flood-limits, with two connections at a time: %s', async (_, to, port) => {
    await enforcePresets(lab(), ['flood-limits'], { edit: few })
    await inBoth(async (family) => {
      const script = `
        const { connect } = require('node:net')
        const attempt = (waitMs) => new Promise((resolve) => {
          connect({ host: '${addresses[to][family]}', port: ${port} }, () => resolve(1))
          setTimeout(() => resolve(0), waitMs)
        })
        void (async () => {
          const opened = [await attempt(10_000), await attempt(10_000), await attempt(300)]
          console.log(opened.join(' '))
          process.exit()
        })()`
      const { stdout } = await lab().cluster.internet.exec(process.execPath, ['--eval', script])
      expect({ family, stdout }).toEqual({ family, stdout: '1 1 0\n' })
    })
  })
}

/** Each family counts by itself. */
async function inBoth(check: (family: Family) => Promise<void>): Promise<void> {
  await Promise.all(families.map(check))
}
