import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBudget } from '../../agent/budget.ts'
import { createEventQueue } from '../../agent/cluster/event-queue.ts'
import type { Pending } from '../../agent/cluster/event-queue.ts'
import { confirmed } from './events-fixture.ts'

const size = 4
const action = fc.oneof(fc.nat(5), fc.constant('take' as const), fc.constant('put back' as const))

test('each repetition is in the queue, or sent, or belongs to an event that was pushed out; never twice', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const queue = createEventQueue(size)
      const added = new Map<string, number>()
      const seen = new Map<string, number>()
      const count = (into: Map<string, number>, { message }: { message: string }, times: number) =>
        into.set(message, (into.get(message) ?? 0) + times)
      let taken: Pending | undefined
      let now = 0
      for (const each of actions) {
        now += 1
        if (each === 'put back') {
          if (taken !== undefined) queue.putBack(taken)
          taken = undefined
        } else if (each === 'take') {
          if (taken !== undefined) count(seen, taken.event, taken.times)
          taken = queue.take()
        } else {
          queue.add(confirmed(each), now)
          count(added, confirmed(each), 1)
        }
      }
      if (taken !== undefined) count(seen, taken.event, taken.times)
      const left: Pending[] = []
      for (let next = queue.take(); next !== undefined; next = queue.take()) left.push(next)
      expect(left.length).toBeLessThanOrEqual(size)
      expect(new Set(left.map(({ event }) => event.message)).size).toBe(left.length)
      for (const { event, times, firstMs, lastMs } of left) {
        count(seen, event, times)
        expect(firstMs).toBeLessThanOrEqual(lastMs)
      }
      for (const [message, times] of seen) expect(times).toBeLessThanOrEqual(added.get(message) ?? 0)
      // With room for all, nothing is pushed out.
      if (added.size <= size) expect(seen).toEqual(added)
    }),
  )
})

test('what is put back is the next, together with its repetitions', () => {
  const queue = createEventQueue(size)
  queue.add(confirmed(1), 1)
  queue.add(confirmed(2), 2)
  const first = queue.take()
  queue.add(confirmed(1), 3)
  if (first !== undefined) queue.putBack(first)
  expect(queue.take()).toEqual({ event: confirmed(1), firstMs: 1, lastMs: 3, times: 2 })
  expect(queue.take()).toMatchObject({ event: confirmed(2), times: 1 })
  expect(queue.isEmpty()).toBe(true)
})

test('what is put back into a full queue is the oldest, and gone', () => {
  const queue = createEventQueue(1)
  queue.add(confirmed(1), 1)
  const first = queue.take()
  queue.add(confirmed(2), 2)
  if (first !== undefined) queue.putBack(first)
  expect(queue.take()).toMatchObject({ event: confirmed(2) })
})

test('never more than the burst and one for each period, whatever the clock does', () => {
  const steps = fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 200 })
  fc.assert(
    fc.property(steps, (jumps) => {
      const budget = createBudget({ burst: 3, everyMs: 1000 })
      let now = 100_000
      let forward = 0
      let spent = 0
      for (const jump of jumps) {
        now += jump
        forward += Math.max(0, jump)
        if (budget.take(now) === 0) spent += 1
      }
      expect(spent).toBeLessThanOrEqual(3 + forward / 1000)
    }),
  )
})

test('the budget says when there is one again, and what was given back can be taken again', () => {
  const budget = createBudget({ burst: 2, everyMs: 1000 })
  expect([budget.take(0), budget.take(0), budget.take(250), budget.take(1000)]).toEqual([0, 0, 750, 0])
  budget.giveBack()
  expect([budget.take(1000), budget.take(1000), budget.take(500)]).toEqual([0, 1000, 1000])
})
