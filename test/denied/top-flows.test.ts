import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Logged } from '../../agent/denied/logged.ts'
import { createFlowCounter, periodMs } from '../../agent/denied/top-flows.ts'

const ssh: Logged = {
  verdict: 'drop',
  ruleset: 'worker',
  rule: 'ssh',
  protocol: 'tcp',
  from: '192.0.2.1',
  to: '192.0.2.9',
  port: 22,
}
const start = Date.parse('2026-03-01T12:00:00Z')

function setUp() {
  let now = start
  const counter = createFlowCounter(() => now)
  const see = (times: number, logged: Logged) => {
    for (let time = 0; time < times; time += 1) counter.see(logged)
  }
  return { counter, see, pass: (ms: number) => void (now += ms) }
}

test('flows are counted, those of most packets first; what is accepted does not count', () => {
  const { counter, see } = setUp()
  see(2, { ...ssh, fromPort: 1, in: 'eth0' })
  see(3, { ...ssh, fromPort: 2, in: 'eth0' })
  see(7, { ...ssh, from: '192.0.2.2', verdict: 'audit' })
  see(9, { ...ssh, verdict: 'accept' })
  see(1, { verdict: 'drop', rule: 'ssh' })
  const last = '2026-03-01T12:00:00.000Z'
  const flow = { rule: 'worker/ssh', protocol: 'tcp', to: '192.0.2.9', port: 22, last }
  expect(counter.top(5)).toEqual({
    since: last,
    packets: 12,
    flows: [
      { ...flow, verdict: 'audit', from: '192.0.2.2', packets: 7 },
      { ...flow, verdict: 'drop', from: '192.0.2.1', packets: 5 },
    ],
  })
  expect(counter.top(1).flows).toHaveLength(1)
})

test('old news goes after an hour or two', () => {
  const { counter, see, pass } = setUp()
  see(5, ssh)
  pass(periodMs)
  see(1, { ...ssh, from: '192.0.2.2' })
  expect(counter.top(5)).toMatchObject({ since: '2026-03-01T12:00:00.000Z', packets: 6 })
  see(1, ssh)
  expect(counter.top(1).flows).toMatchObject([{ packets: 6, last: '2026-03-01T13:00:00.000Z' }])
  pass(periodMs)
  expect(counter.top(5)).toMatchObject({ since: '2026-03-01T13:00:00.000Z', packets: 2 })
  pass(2 * periodMs)
  expect(counter.top(5)).toMatchObject({ since: '2026-03-01T16:00:00.000Z', packets: 0, flows: [] })
})

test('a clock that is set back does not keep old news for ever', () => {
  const { counter, see, pass } = setUp()
  see(5, ssh)
  pass(-10 * periodMs)
  expect(counter.top(5).packets).toBe(0)
})

test('no count is higher than it was, and who sends much is not pushed out by who invents senders', () => {
  const packets = fc.array(fc.nat(2_000), { minLength: 500, maxLength: 2_000 })
  fc.assert(
    fc.property(packets, fc.integer({ min: 0, max: 1_000_000 }), (senders, seed) => {
      const { counter, see } = setUp()
      const sent = new Map<string, number>()
      const send = (from: string) => {
        see(1, { ...ssh, from })
        sent.set(from, (sent.get(from) ?? 0) + 1)
      }
      for (const [index, sender] of senders.entries()) {
        send(`10.0.${sender >> 8}.${sender & 255}`)
        // A twentieth of all.
        if ((index + seed) % 20 === 0) send('192.0.2.66')
      }
      const { flows, packets: all } = counter.top(1_000)
      expect(all).toBe([...sent.values()].reduce((sum, count) => sum + count, 0))
      for (const { from, packets: count } of flows) expect(count).toBeLessThanOrEqual(sent.get(from) ?? 0)
      expect(flows.map(({ from }) => from)).toContain('192.0.2.66')
      expect(flows.length).toBeLessThanOrEqual(128)
    }),
    { numRuns: 20 },
  )
})
