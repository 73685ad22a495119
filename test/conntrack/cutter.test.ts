import { expect, test } from 'vitest'
import { createCutter } from '../../agent/conntrack/cutter.ts'
import type { Exec } from '../../agent/host/exec.ts'
import { drop, policyOf } from '../policy/policy-of.ts'

test('what one family asks for while another cut is under way does not take the place of what another asked for', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const looked: string[] = []
  const exec: Exec = async (_program, args) => {
    looked.push(args[2] ?? '')
    await released
    return { stdout: '', stderr: '', durationMs: 0 }
  }
  const cutter = createCutter({ exec, onCut: () => {} })
  const policy = policyOf({ ingress: [drop('all')] })
  cutter.start(policy, ['ipv4', 'ipv6'])
  cutter.start(policy, ['ipv4', 'ipv6'])
  cutter.start(policy, ['ipv6'])
  release()
  await cutter.settled()
  expect(looked.toSorted()).toEqual(['ipv4', 'ipv4', 'ipv6', 'ipv6'])
})
