import { expect, onTestFinished, test } from 'vitest'
import { defaultReapplySchedule, defaultVerifySchedule } from '../../agent/cli/agent-flags.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { startFleetLoad } from './fleet-load.ts'
import { busiestShare, countByKind, worstSecond } from './window-figures.ts'
import type { Window } from './window.ts'

const blocking = (port: number) =>
  rulesetOf({
    interfaces: { external: ['eth0'] },
    rules: [{ name: 'blocked', action: 'drop', protocol: 'tcp', ports: [port] }],
  })

test('an agent writes a few times an hour, and each at times of its own; an edit costs it some requests', async () => {
  const fleet = await startFleetLoad({ agents: 6, nodes: 6, ruleset: blocking(1) })
  onTestFinished(fleet.close)
  const { isConverged: isDone } = fleet
  const install = await fleet.measure({ ms: 1_000, stepMs: 100, isDone }, () => fleet.start(1_000))
  expect(perAgent(install)).toBeLessThan(25)

  const hour = await fleet.measure({ ms: 3_600_000, stepMs: 1_000 })
  const writes = hour.requests.filter(({ what }) => what === 'patch nodes').length / hour.agents
  expect(writes).toBeGreaterThanOrEqual(3)
  expect(writes).toBeLessThanOrEqual(6)
  expect(
    countByKind(hour)
      .map(([kind]) => kind)
      .toSorted(),
  ).toEqual(['patch nodes', 'watch configmaps', 'watch nodes'])
  expect(perAgent(hour)).toBeLessThan(2 * 13 + 7)
  expect(busiestShare(hour, 600, 10)).toBeLessThan(0.3)

  const change = await fleet.measure({ ms: 1_000, stepMs: 100, isDone }, () => fleet.edit(blocking(2)))
  expect(perAgent(change)).toBeGreaterThan(8)
  expect(perAgent(change)).toBeLessThan(20)
})

test.each([
  ['verify', (name: string) => [Number.parseInt(defaultVerifySchedule(name), 10), 30] as const],
  [
    'reapply',
    (name: string) => {
      const [second = '', minutes = ''] = defaultReapplySchedule(name).split(' ')
      return [Number(second) + 60 * Number.parseInt(minutes, 10), 600] as const
    },
  ],
])('schedules to %s are spread over all seconds there are', (_, phaseOf) => {
  const counts = new Map<number, number>()
  let period = 0
  for (let node = 0; node < 6_000; node += 1) {
    const [phase, seconds] = phaseOf(`worker-${node}.example.org`)
    period = seconds
    counts.set(phase, (counts.get(phase) ?? 0) + 1)
  }
  expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: period }, (_, second) => second),
  )
  const even = 6_000 / period
  expect(Math.max(...counts.values())).toBeLessThan(even + 5 * Math.sqrt(even))
})

test('the busiest second is found in copies that are shifted, and in those that are not', () => {
  const requests = [0.5, 1.5, 60.5, 130.2].map((at) => ({ at, what: 'patch nodes' }))
  const window: Window = { seconds: 180, agents: 10, requests, bytes: 0, events: 0 }
  expect(worstSecond(window, 30, 0)).toBe(3)
  // What comes at the same second of each minute meets itself.
  expect(worstSecond(window, 30)).toBe(2)
  expect(busiestShare(window, 60, 60)).toBe(0.5)
})

function perAgent({ requests, agents }: Window): number {
  return requests.length / agents
}
