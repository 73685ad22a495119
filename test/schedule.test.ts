import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Trigger } from '../agent/pass.ts'
import { createSchedule } from '../agent/schedule.ts'

/** A pass that ends when the test says so, and timers that fire when the test says so. */
function setUp({ random = 1 } = {}) {
  const passes: { triggers: readonly Trigger[]; end: (retry: boolean) => void }[] = []
  const timers: { ms: number; fire: () => void; cancelled: boolean }[] = []
  const schedule = createSchedule({
    pass: async (triggers) =>
      new Promise((resolve) => passes.push({ triggers, end: (retry) => resolve({ retry }) })),
    timer: (ms, fire) => {
      const timer = { ms, fire, cancelled: false }
      timers.push(timer)
      return { cancel: () => (timer.cancelled = true) }
    },
    random: () => random,
  })
  const reasons = () => passes.map(({ triggers }) => triggers.map(({ reason }) => reason))
  const end = async (retry = false) => {
    passes.at(-1)?.end(retry)
    await setImmediate()
  }
  return { schedule, timers, reasons, end }
}

describe('the schedule', () => {
  test('runs a pass at once, and one at a time: what comes meanwhile shares the next', async () => {
    const { schedule, reasons, end } = setUp()
    schedule.trigger({ reason: 'start' })
    schedule.trigger({ reason: 'files' })
    schedule.trigger({ reason: 'drift' })
    expect(reasons()).toEqual([['start']])
    await end()
    expect(reasons()).toEqual([['start'], ['files', 'drift']])
    await end()
    expect(reasons()).toHaveLength(2)
    schedule.trigger({ reason: 'verify' })
    expect(reasons()).toHaveLength(3)
  })

  test('tries failures again, later each time, up to half a minute', async () => {
    const { schedule, timers, end } = setUp()
    schedule.trigger({ reason: 'start' })
    for (let failures = 0; failures < 8; failures += 1) {
      await end(true)
      timers.at(-1)?.fire()
    }
    expect(timers.map(({ ms }) => ms)).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
  })

  test('starts over with short delays after a success', async () => {
    const { schedule, timers, end } = setUp({ random: 0 })
    schedule.trigger({ reason: 'start' })
    await end(true)
    timers.at(-1)?.fire()
    await end(true)
    timers.at(-1)?.fire()
    await end(false)
    schedule.trigger({ reason: 'verify' })
    await end(true)
    expect(timers.map(({ ms }) => ms)).toEqual([400, 800, 400])
  })

  test('forgets a retry when something else leads to a pass', async () => {
    const { schedule, timers, end } = setUp()
    schedule.trigger({ reason: 'start' })
    await end(true)
    schedule.trigger({ reason: 'files' })
    expect(timers[0]?.cancelled).toBe(true)
  })

  test('stops after the pass that runs, and takes nothing more', async () => {
    const { schedule, reasons, end } = setUp()
    schedule.trigger({ reason: 'start' })
    schedule.trigger({ reason: 'files' })
    const stopped = schedule.stop()
    await end()
    await stopped
    schedule.trigger({ reason: 'verify' })
    expect(reasons()).toEqual([['start']])
  })
})
