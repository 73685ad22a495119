import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { controlPlaneAddress } from '../sandbox/control-plane/addresses.ts'
import { findCut, takeWays, vitals } from '../sandbox/control-plane/vitals.ts'
import { createControlPlane } from '../sandbox/control-plane.ts'
import type { ControlPlane } from '../sandbox/control-plane.ts'
import { enforceWith, rulesetOf } from './enforce.ts'
import { expectCuts } from './expected-cuts.ts'
import { randomRulesets } from './random-rulesets.ts'

const { node, nodePrivate, endpoint } = controlPlaneAddress
const cluster = { apiServers: Object.values(endpoint).map(parseCidr) }
const facts = {
  external: ['eth0'],
  interfaces: ['lo', 'eth0'],
  addresses: [...new Set([...Object.values(node), ...Object.values(nodePrivate)])].map(parseCidr),
}
/** How many are seen at work in the kernel. */
const seen = Number(process.env['RANDOM_RULESETS'] ?? '6')

describe('random rulesets', () => {
  test('are rulesets, and cut off each thing often, and nothing at all often too', () => {
    const cuts = fc.sample(randomRulesets(), { seed: 1, numRuns: 500 }).map(({ spec, ways }) => {
      const { rulesets, problems } = parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(rulesetOf(spec)) }])
      expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
      return expectCuts(resolvePolicy(rulesets, { facts, cluster, now: 0 }), ways)
    })
    const share = (fits: (cut: readonly string[]) => boolean) => cuts.filter(fits).length / cuts.length
    for (const vital of vitals) {
      expect(share((cut) => cut.includes(vital))).toBeGreaterThan(0.15)
    }
    expect(share((cut) => cut.length === 0)).toBeGreaterThan(0.15)
  })
})

describe.each(await usableBackends())('random rulesets on iptables-%s', (backend) => {
  let sandbox: ControlPlane
  beforeAll(async () => {
    sandbox = await createControlPlane({ backend, leaseEveryMs: 250 })
  })
  afterAll(async () => sandbox.close())

  test('cut off in the kernel what their rules say', { timeout: 60_000 + seen * 10_000 }, async () => {
    const property = fc.asyncProperty(randomRulesets(), async ({ spec, ways }) => {
      const kubeconfig = await takeWays(sandbox, ways)
      const policy = await enforceWith(sandbox.node, backend, cluster, rulesetOf(spec))
      expect(await findCut(sandbox, ways, kubeconfig)).toEqual(expectCuts(policy, ways))
    })
    await fc.assert(property, { numRuns: seen })
  })
})
