import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClusterFacts, NodeFacts, Policy } from '../../agent/policy/policy.ts'
import { decideConnection } from '../../agent/policy/verdict.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Action } from '../../agent/ruleset/fields.ts'
import { hasErrors, parseRulesets } from '../../agent/ruleset/parse.ts'
import { readNodeFacts } from '../../agent/host/network.ts'
import { enforceKnowing } from '../kernel/enforce.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress, podNetwork } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { rulesetLists } from './rulesets.ts'
import { addressOf, connectionOf, describeWay, waysOf } from './ways.ts'
import type { Way } from './ways.ts'

/*
 * What `explain` says of a connection is what the kernel does with it: random rulesets, and packets on every way.
 * `npm run test:long` sends at least 20,000 packets on each backend.
 */
const packets = Number(process.env['DIFFERENTIAL_PACKETS'] ?? 300)
const seed = Number(process.env['DIFFERENTIAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Each ruleset meets one in so many of the ways: more rulesets find more than more packets. */
const share = 4

const cluster: ClusterFacts = {
  nodes: [clusterAddress.nodePrivate, clusterAddress.node2Private].flatMap(both),
  apiServers: both(clusterAddress.node2),
  podCIDRs: both(podNetwork.cluster),
}

/** What failsafes follow from, as other nodes would have it. */
const seenOnNode: fc.Arbitrary<Partial<NodeFacts>> = fc.record(
  {
    ports: fc.constantFrom({}, { kubelet: 22, apiServer: 9090 }),
    tunnels: fc.constantFrom([], [{ kind: 'vxlan', protocols: [17], ports: [8472], locals: [] }]),
    resolvers: fc.constantFrom(both(clusterAddress.private), both(clusterAddress.internet)),
  },
  { requiredKeys: [] },
)

const backends = await usableBackends()
const variants = backends.flatMap((backend) =>
  (['routed', 'process'] as const).map((metadata) => ({ backend, metadata })),
)

describe.each(variants)('explain and iptables-$backend, metadata $metadata', ({ backend, metadata }) => {
  let sandbox: Cluster
  beforeAll(async () => {
    sandbox = await createCluster({ backend, metadata })
    // The kernel sends a client about one ICMP error a second, and each refusal counts here.
    const limits = ['ipv4/icmp_ratelimit', 'ipv6/icmp/ratelimit'].map((limit) => `/proc/sys/net/${limit}`)
    await sandbox.node.exec('sh', ['-c', limits.map((limit) => `echo 0 > ${limit}`).join(' && ')])
  })
  afterAll(async () => sandbox.close())

  test('say the same of every connection', { timeout: packets * 200 + 60_000 }, async () => {
    const ways = waysOf(metadata)
    const perRuleset = Math.floor((ways.length * families.length) / share)
    let sent = 0
    await fc.assert(
      fc.asyncProperty(
        rulesetLists(),
        seenOnNode,
        fc.nat(share - 1),
        async (documents, seenThere, offset) => {
          const texts = documents.map((document) => JSON.stringify(document))
          fc.pre(isSound(texts))
          const facts = { ...(await readNodeFacts(sandbox.node.exec)), ...seenThere }
          const policy = await enforceKnowing(sandbox.node, backend, { facts, cluster }, ...texts)
          // An entry of an earlier packet would make this one a part of its connection.
          await sandbox.node.exec('conntrack', ['--flush'])
          const chosen = ways.filter((_, index) => index % share === offset)
          const seen = await Promise.all(
            chosen.flatMap((way) => families.map(async (family) => probe(way, family, policy))),
          )
          sent += seen.length
          expect(seen.filter(({ expected, outcome }) => expected !== outcome)).toEqual([])
        },
      ),
      {
        numRuns: Math.ceil(packets / variants.length / perRuleset),
        seed,
        interruptAfterTimeLimit: packets * 200,
      },
    )
    console.log(`${sent} packets on iptables-${backend}, metadata ${metadata}, seed ${seed}: no difference`)
  })

  async function probe(way: Way, family: Family, policy: Policy) {
    const { client, protocol, dialled } = way
    const address = addressOf(dialled[0], family)
    const outcome = await sandbox[client].probe({ protocol, address, port: dialled[1], silenceMs: 800 })
    const { action, by } = decideConnection(policy, connectionOf(way, family))
    return { way: describeWay(way), family, outcome, expected: outcomeOf(action, way), by }
  }
})

function outcomeOf(action: Action, { in: input, protocol, dialled, real }: Way): Outcome {
  if (action !== 'reject') return action === 'accept' ? 'accepted' : 'silence'
  // The kernel sends the reset for a packet from a bridge straight back into it (nf_send_reset, br_netfilter), past
  // what would translate its source: the client does not know it, and hears nothing.
  const isLost = protocol === 'tcp' && input === 'cni0' && dialled.join() !== real.join()
  return isLost ? 'silence' : 'refused'
}

function isSound(texts: readonly string[]): boolean {
  const files = texts.map((text, index) => ({ path: `${index}.yaml`, bytes: Buffer.from(text) }))
  return !hasErrors(parseRulesets(files).problems)
}

function both(address: Readonly<Record<Family, string>>) {
  return families.map((family) => parseCidr(address[family]))
}
