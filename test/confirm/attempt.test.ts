import { setImmediate } from 'node:timers/promises'
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createAttempt } from '../../agent/confirm/attempt.ts'

test('a timer that still runs does not keep what was tried, with all its rules, in memory', async () => {
  const { signal: deadline } = new AbortController()
  const nobody = async () => []
  const attempt = createAttempt(
    {
      subject: { hash: 'a', parsed: { rulesets: [], problems: [] }, labels: {}, files: [], narrowed: [] },
      createProbes: () => [],
      knownBefore: [],
      onReady: async () => {},
    },
    { before: nobody, after: nobody, timeout: () => deadline, deadlineMs: 30_000, onChange: () => {} },
  )
  await attempt.settled()
  attempt.begin()
  expect(getEventListeners(deadline, 'abort')).toHaveLength(1)
  attempt.end()
  expect(getEventListeners(deadline, 'abort')).toEqual([])
})

test('is ready while it is still being noted, so that the kernel can be read meanwhile', async () => {
  const written = Promise.withResolvers<void>()
  const nobody = async () => []
  const attempt = createAttempt(
    {
      subject: { hash: 'a', parsed: { rulesets: [], problems: [] }, labels: {}, files: [], narrowed: [] },
      createProbes: () => [],
      knownBefore: [],
      onReady: async () => written.promise,
    },
    {
      before: nobody,
      after: nobody,
      timeout: () => new AbortController().signal,
      deadlineMs: 30_000,
      onChange: () => {},
    },
  )
  await attempt.settled()
  expect(attempt.phase()).toBe('ready')
  let isNoted = false
  const noted = attempt.noted().then(() => (isNoted = true))
  await setImmediate()
  expect(isNoted).toBe(false)
  written.resolve()
  await noted
})
