import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createAnnouncer } from '../../agent/cluster/announce.ts'
import { createTime } from './facts-fixture.ts'

test('the first value is announced at once, and a burst after it as one, later', async () => {
  const { announced, set, time } = start()
  set('a')
  await setImmediate()
  expect(announced).toEqual(['a'])
  for (const value of ['b', 'c', 'd']) {
    set(value)
    await setImmediate()
  }
  time.pass(249)
  await setImmediate()
  expect(announced).toEqual(['a'])
  time.pass(1)
  await setImmediate()
  expect(announced).toEqual(['a', 'd'])
})

test('after a pause the next one comes at once again', async () => {
  const { announced, set, time } = start()
  set('a')
  await setImmediate()
  time.pass(250)
  await setImmediate()
  set('b')
  await setImmediate()
  expect(announced).toEqual(['a', 'b'])
})

test('a value that is the same again is no news', async () => {
  const { announced, set, time } = start()
  set('a')
  await setImmediate()
  set('b')
  set('a')
  time.pass(250)
  await setImmediate()
  expect(announced).toEqual(['a'])
})

function start() {
  const time = createTime()
  const controller = new AbortController()
  const announced: string[] = []
  let value = ''
  const announcer = createAnnouncer(
    () => value,
    (next) => announced.push(next),
    time.clock,
  )
  const ended = announcer.run(controller.signal)
  onTestFinished(async () => {
    controller.abort()
    await ended
  })
  const set = (next: string) => {
    value = next
    announcer.note()
  }
  return { announced, set, time }
}
