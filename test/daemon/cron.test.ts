import fc from 'fast-check'
import { createTask } from 'node-cron'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createFindNext } from '../../agent/daemon/cron.ts'

const zone = process.env['TZ']

afterEach(() => {
  vi.useRealTimers()
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
})

describe.each(['UTC', 'Asia/Kolkata', 'America/St_Johns'])('times of a cron expression in %s', (timezone) => {
  const numbers = fc.uniqueArray(fc.nat(59), { minLength: 1, maxLength: 4 }).map((list) => list.join(','))
  const field = fc.oneof(numbers, fc.constantFrom('*', '*/7', '10-20'))
  const times = fc.date({ noInvalidDate: true, min: new Date('2026-01-01'), max: new Date('2028-01-01') })

  test('that comes in each hour are those that node-cron finds', () => {
    process.env['TZ'] = timezone
    vi.useFakeTimers({ toFake: ['Date'] })
    fc.assert(
      fc.property(field, field, times, (second, minute, now) => {
        const expression = `${second} ${minute} * * * *`
        vi.setSystemTime(now)
        const [expected] = createTask(expression, () => {}, { timezone }).getNextRuns(1)
        expect(new Date(createFindNext(expression)(now.getTime()))).toEqual(expected)
      }),
    )
  })
})

test.each([
  ['0 0 1 1 *', '2027-01-01 00:00'],
  ['30 6 * * 1', '2026-11-23 06:30'],
  ['15 */6 * * *', '2026-11-21 12:15'],
])('a cron expression that leaves out hours or days: %s, next at %s', (expression, expected) => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-21 11:00') })
  expect(new Date(createFindNext(expression)(Date.now()))).toEqual(new Date(expected))
})
