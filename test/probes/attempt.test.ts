import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { OutsideError } from '../../agent/errors.ts'
import { attemptWithin } from '../../agent/probes/attempt.ts'

const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length

/** Waits for its signal, and fails with the reason of that. */
const untilAborted = async (signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

test.each([
  ['works', async () => 'done'],
  [
    'fails',
    async () => {
      throw new OutsideError('refused')
    },
  ],
])('an attempt that %s leaves nothing behind, and its signal aborts', async (_, attempt) => {
  const stop = new AbortController()
  const before = timers()
  let own: AbortSignal | undefined
  const run = attemptWithin(60_000, stop.signal, async (signal) => {
    own = signal
    return attempt()
  })
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
  expect(timers()).toBe(before + 1)
  await run.catch(() => {})
  expect(own?.aborted).toBe(true)
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  expect(timers()).toBe(before)
})

test('one that takes too long is told how long', async () => {
  await expect(attemptWithin(20, AbortSignal.any([]), untilAborted)).rejects.toThrow(
    'no answer within 0.02 s',
  )
})

test('one that is called off is told so', async () => {
  const stop = new AbortController()
  const run = attemptWithin(60_000, stop.signal, untilAborted)
  stop.abort()
  await expect(run).rejects.toThrow('called off before there was an answer')
})

test('none is begun when it is called off already', async () => {
  let begun = false
  const attempt = async () => void (begun = true)
  await expect(attemptWithin(60_000, AbortSignal.abort(), attempt)).rejects.toThrow('called off')
  expect(begun).toBe(false)
})
