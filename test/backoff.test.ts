import { expect, test } from 'vitest'
import { backoffMs } from '../agent/backoff.ts'

test('the wait doubles with each failure, up to a ceiling', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 50].map((failures) => backoffMs(failures, 1))).toEqual([
    800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
  ])
})

test('chance takes up to a half of it away', () => {
  expect([backoffMs(6, 0), backoffMs(6, 0.5)]).toEqual([15_000, 22_500])
})

test('what the server asked for comes on top, so that not all nodes are back at that moment', () => {
  expect([backoffMs(0, 0, { retryAfterSeconds: 7 }), backoffMs(0, 1, { retryAfterSeconds: 7 })]).toEqual([
    7400, 7800,
  ])
})

test('a server that asks for days gets minutes, and never none at all', () => {
  const month = 31 * 24 * 3600
  expect(backoffMs(0, 1, { retryAfterSeconds: month })).toBe(600_800)
})
