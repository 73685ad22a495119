import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readNodeFacts } from '../../agent/host/network.ts'
import type { ServerEndpoint } from '../../agent/policy/policy.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { apiServerPort, controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import { findCut, plainWays, takeWays } from '../sandbox/control-plane/vitals.ts'
import type { Ways } from '../sandbox/control-plane/vitals.ts'
import { createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'
import { badRulesets, harmlessRulesets } from './bad-rulesets.ts'
import { enforceKnowing, rulesetOf } from './enforce.ts'

const cluster = { apiServers: Object.values(controlPlaneAddress.endpoint).map(parseCidr) }

describe.each(await usableBackends())('rulesets that nobody should confirm, on iptables-%s', (backend) => {
  let sandbox: ControlPlane
  beforeAll(async () => {
    sandbox = await createControlPlane({ backend, leaseEveryMs: 250 })
  })
  afterAll(async () => sandbox.close())

  const rows = [...badRulesets, ...harmlessRulesets].map((row) => [row.name, row] as const)
  test.each(rows)('%s: cuts off what it is said to', async (_, { spec, ways: some, cuts }) => {
    const ways = { ...plainWays, ...some }
    const kubeconfig = await takeWays(sandbox, ways)
    const facts = { ...(await readNodeFacts(sandbox.node.exec)), servers: serversOf(ways) }
    await enforceKnowing(sandbox.node, backend, { facts, cluster }, rulesetOf(spec))
    expect(await findCut(sandbox, ways, kubeconfig)).toEqual(cuts)
  })
})

/** What an agent would find of where the API server is found. */
function serversOf({ family, kubelet, apiServer }: Ways): ServerEndpoint[] {
  return (
    [
      ['kubelet', kubelet],
      ['agent', apiServer],
    ] as const
  ).map(([of, via]) => {
    const port = via === 'service' ? 443 : apiServerPort
    return { of, port, address: parseCidr(controlPlaneAddress[via][family]) }
  })
}
