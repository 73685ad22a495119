import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import { findCut, plainWays, takeWays } from '../sandbox/control-plane/vitals.ts'
import { createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'
import { badRulesets, harmlessRulesets } from './bad-rulesets.ts'
import { enforceWith, rulesetOf } from './enforce.ts'

const facts = { apiServers: Object.values(controlPlaneAddress.endpoint).map(parseCidr) }

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
    await enforceWith(sandbox.node, backend, facts, rulesetOf(spec))
    expect(await findCut(sandbox, ways, kubeconfig)).toEqual(cuts)
  })
})
