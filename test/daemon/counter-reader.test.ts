import { expect, test } from 'vitest'
import { counterIntervalMs, createCounterReader } from '../../agent/daemon/counter-reader.ts'
import type { InForce } from '../../agent/daemon/counter-reader.ts'
import { UnreadableTableError } from '../../agent/netfilter/saved-table.ts'
import type { SavedTable } from '../../agent/netfilter/saved-table.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { policyWith, ruleOf } from '../netfilter/policy-with.ts'

const policy = policyWith({ ingress: [ruleOf('ssh')] })
const inForce: InForce = { backend: 'nft', policy, families }
const text = '-p tcp -m comment --comment "test/ssh" -j RETURN'

/** A kernel that counts how often it is read: that is what its counters say. */
function createKernel() {
  let now = 0
  const reads = new Map<Family, number>()
  const broken = new Map<Family, Error>()
  let patience = Promise.withResolvers<void>()
  let hanging: Promise<void> | undefined
  const effects = {
    clock: { now: () => now, date: () => 1_000_000 + now, wait: async () => patience.promise },
    tables: {
      async read(_: string, family: Family): Promise<SavedTable> {
        reads.set(family, (reads.get(family) ?? 0) + 1)
        await hanging
        const error = broken.get(family)
        if (error !== undefined) throw error
        const counters = `[${reads.get(family)}:40]`
        return new Map([['node-firewall', { policy: '-', rules: [{ text, counters }] }]])
      },
    },
  }
  return {
    reads,
    broken,
    effects,
    pass: (ms: number) => void (now += ms),
    /** Reading hangs until the function that is returned is called. */
    hang() {
      const { promise, resolve } = Promise.withResolvers<void>()
      hanging = promise
      return resolve
    },
    losePatience() {
      patience.resolve()
      patience = Promise.withResolvers<void>()
    },
  }
}

const packets = (counts: readonly { readonly packets: number }[] | undefined) =>
  counts?.map((count) => count.packets)

test('who asks at once, or again soon, gets one reading, which says when it was made', async () => {
  const kernel = createKernel()
  const read = createCounterReader(kernel.effects)
  await Promise.all([read(inForce), read(inForce)])
  kernel.pass(counterIntervalMs - 1)
  const again = await read(inForce)
  expect([again.readAt, packets(again.families.get('ipv4'))]).toEqual([1_000_000, [1]])
  expect([...kernel.reads.values()]).toEqual([1, 1])
  kernel.pass(1)
  const later = await read(inForce)
  expect([later.readAt, packets(later.families.get('ipv4'))]).toEqual([1_000_000 + counterIntervalMs, [2]])
})

test('other rules are read at once', async () => {
  const kernel = createKernel()
  const read = createCounterReader(kernel.effects)
  await read(inForce)
  await read({ ...inForce, policy: policyWith({ ingress: [ruleOf('ssh')] }) })
  expect([...kernel.reads.values()]).toEqual([2, 2])
})

test('a family that cannot be read is left out, and is back when it can be', async () => {
  const kernel = createKernel()
  const read = createCounterReader(kernel.effects)
  await read(inForce)
  kernel.pass(counterIntervalMs)
  kernel.broken.set('ipv4', new UnreadableTableError('it ends before COMMIT'))
  const half = await read(inForce)
  expect([...half.families.keys(), half.failed]).toEqual(['ipv6', ['ipv4']])
  kernel.pass(counterIntervalMs)
  kernel.broken.clear()
  const whole = await read(inForce)
  expect([...whole.families.keys(), whole.failed]).toEqual(['ipv4', 'ipv6', []])
})

test('a bug is no unreadable table', async () => {
  const kernel = createKernel()
  kernel.broken.set('ipv4', new TypeError('a bug'))
  await expect(createCounterReader(kernel.effects)(inForce)).rejects.toThrow('a bug')
})

test('while a reading hangs nothing is told, and no other one is begun', async () => {
  const kernel = createKernel()
  const read = createCounterReader(kernel.effects)
  const goOn = kernel.hang()
  const impatient = async (rules: InForce) => {
    const reading = read(rules)
    kernel.losePatience()
    const { families: told, failed } = await reading
    return { told: [...told.keys()], failed }
  }
  const nothing = { told: [], failed: families }
  expect(await impatient(inForce)).toEqual(nothing)
  kernel.pass(10 * counterIntervalMs)
  expect(await impatient(inForce)).toEqual(nothing)
  expect(await impatient({ ...inForce, policy: policyWith({}) })).toEqual(nothing)
  expect([...kernel.reads.values()]).toEqual([1, 1])
  goOn()
  expect((await read(inForce)).failed).toEqual([])
})
