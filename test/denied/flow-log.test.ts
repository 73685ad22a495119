import { expect, test } from 'vitest'
import { createFlowLog, lineBudget, repeatMs } from '../../agent/denied/flow-log.ts'
import type { Logged } from '../../agent/denied/logged.ts'

function setUp() {
  let now = 5_000
  return { log: createFlowLog(() => now), pass: (ms: number) => void (now += ms) }
}

const ssh: Logged = {
  verdict: 'drop',
  rule: 'ssh',
  protocol: 'tcp',
  from: '192.0.2.1',
  to: '192.0.2.9',
  port: 22,
}
const from = (index: number): Logged => ({
  ...ssh,
  from: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
})

test('a flow has one line a minute, whatever ports its client takes, and the next one tells of the rest', () => {
  const { log, pass } = setUp()
  expect(log.see({ ...ssh, fromPort: 1 })).toEqual({ ...ssh, fromPort: 1 })
  for (const fromPort of [2, 3, 4]) expect(log.see({ ...ssh, fromPort })).toBeUndefined()
  expect(log.see({ ...ssh, port: 23 })).toEqual({ ...ssh, port: 23 })
  pass(repeatMs)
  expect(log.see(ssh)).toEqual({ ...ssh, packets: 4 })
  expect(log.takeUntold()).toEqual({ repeated: 3, leftOut: 0, overLimit: 0, lost: 0 })
  expect(log.takeUntold()).toBeUndefined()
})

test('a flood of senders gets no more lines than the budget has, and each packet is accounted for', () => {
  const { log, pass } = setUp()
  const seconds = 30
  let lines = 0
  for (let index = 0; index < seconds * 1_000; index += 1) {
    if (log.see(from(index)) !== undefined) lines += 1
    pass(1)
  }
  const most = lineBudget.lines + (seconds * 1_000) / lineBudget.refillMs
  expect(lines).toBeGreaterThan(most - 2)
  expect(lines).toBeLessThanOrEqual(most)
  expect(log.takeUntold()).toEqual({ repeated: 0, leftOut: seconds * 1_000 - lines, overLimit: 0, lost: 0 })
})

test('who was left out for want of budget has a line when there is some again', () => {
  const { log, pass } = setUp()
  for (let index = 0; index < lineBudget.lines; index += 1) log.see(from(index))
  expect(log.see(ssh)).toBeUndefined()
  pass(lineBudget.refillMs)
  expect(log.see(ssh)).toEqual(ssh)
})

test('what was lost on the way is told of', () => {
  const { log } = setUp()
  log.miss('lost', 3)
  log.miss('lost', 4)
  log.miss('overLimit', 5)
  expect(log.takeUntold()).toEqual({ repeated: 0, leftOut: 0, overLimit: 5, lost: 7 })
})
