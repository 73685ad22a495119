import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Annotations } from '../../agent/status/annotations.ts'
import { confirmingMs, createPublisher, verifiedEveryMs, writeBudget } from '../../agent/status/publish.ts'
import type { Status } from '../../agent/status/status.ts'

function setUp({ introduced = true } = {}) {
  let now = 1_000_000
  let setBy = 0
  let failures: unknown[] = []
  const patches: Annotations[] = []
  const errors: unknown[] = []
  let timers: { at: number; fire: () => void }[] = []
  const publisher = createPublisher({
    patch: async (changes) => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure as Error
      patches.push(changes)
    },
    now: () => now,
    date: () => now + setBy,
    timer: (ms, fire) => {
      const timer = { at: now + ms, fire }
      timers.push(timer)
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) }
    },
    random: () => 1,
    onError: (error, again) => errors.push({ error, again }),
  })
  if (introduced) publisher.seen({})
  return {
    publisher,
    patches,
    errors,
    failWith: (...next: unknown[]) => (failures = next),
    /** Sets the clock of the machine, forth or back. */
    setClock: (ms: number) => void (setBy += ms),
    /** Lets time pass, with all that falls due in it. */
    async pass(ms: number) {
      const end = now + ms
      for (;;) {
        await setImmediate()
        const next = timers.toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > end) break
        now = next.at
        timers = timers.filter((other) => other !== next)
        next.fire()
      }
      now = end
    },
    statusAt: (message: string): Status => ({
      state: 'Enforcing',
      ruleset: 'abc',
      message,
      verifiedAt: new Date(now + setBy).toISOString(),
      details: {
        interfaces: { external: [] },
        families: {},
        drift: { count: 0, byKind: {} },
        problems: [],
        warnings: [],
        notEnforceable: [],
      },
    }),
  }
}

test('a steady node writes once, and then only verified-at, each 10 to 15 minutes', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  const hours = 2
  for (let seconds = 0; seconds < hours * 3600; seconds += 30) {
    publisher.publish(statusAt('fine'))
    await pass(30_000)
  }
  expect(Object.keys(patches[0] ?? {})).toHaveLength(5)
  expect(patches.slice(1).map((patch) => Object.keys(patch))).toEqual(
    Array.from({ length: (hours * 3_600_000) / (verifiedEveryMs * 1.5) - 1 }, () => [
      'node-firewall.io/verified-at',
    ]),
  )
})

test('what was denied goes along with what is written anyway, and is no reason to write', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  const statusWith = (message: string, packets: number): Status => {
    const { details, ...status } = statusAt(message)
    const top = { since: '2026-03-01T12:00:00.000Z', packets, flows: [] }
    return { ...status, details: { ...details, logging: { by: 'nflog' }, denied: top } }
  }
  const written = () =>
    patches.map((patch) => /"packets":(\d+)/.exec(patch['node-firewall.io/status'] ?? '')?.[1])
  for (let seconds = 0; seconds < 14 * 60; seconds += 30) {
    publisher.publish(statusWith('fine', seconds))
    await pass(30_000)
  }
  expect(written()).toEqual(['0'])
  publisher.publish(statusWith('not so fine', 9_001))
  await pass(1_000)
  expect(written()).toEqual(['0', '9001'])
  await pass(2 * verifiedEveryMs)
  publisher.publish(statusWith('not so fine', 9_002))
  await pass(1_000)
  expect(Object.keys(patches[2] ?? {})).toEqual(['node-firewall.io/verified-at', 'node-firewall.io/status'])
  expect(written()).toEqual(['0', '9001', '9002'])
})

const dayMs = 24 * 3_600_000

test.each([
  ['forward', dayMs],
  ['back', -dayMs],
])('a clock that is set a day %s neither stops verified-at nor makes it come more often', async (_, jump) => {
  const { publisher, patches, pass, statusAt, setClock } = setUp()
  for (let minutes = 0; minutes < 120; minutes += 1) {
    if (minutes === 60) setClock(jump)
    publisher.publish(statusAt('fine'))
    await pass(60_000)
  }
  expect(patches).toHaveLength(1 + 120 / 15 - 1)
  const last = Date.parse(String(patches.at(-1)?.['node-firewall.io/verified-at']))
  expect(last - jump - 1_000_000).toBeGreaterThan(60 * 60_000)
})

test.each([
  ['forward', dayMs],
  ['back', -dayMs],
])('the budget holds while the clock is set a day %s', async (_, jump) => {
  const { publisher, patches, pass, statusAt, setClock } = setUp()
  for (let change = 0; change < 600; change += 1) {
    if (change === 300) setClock(jump)
    publisher.publish(statusAt(`change ${change}`))
    await pass(1000)
  }
  expect(patches.length).toBeLessThanOrEqual(writeBudget.burst + 600_000 / writeBudget.everyMs)
  await pass(writeBudget.everyMs)
  expect(patches.at(-1)).toMatchObject({ 'node-firewall.io/message': 'change 599' })
})

test('an agent that starts after the clock was set back corrects a verified-at of tomorrow', async () => {
  const { publisher, patches, pass, statusAt } = setUp({ introduced: false })
  const status = statusAt('fine')
  publisher.publish(status)
  const tomorrow = new Date(1_000_000 + dayMs).toISOString()
  publisher.seen({ 'node-firewall.io/verified-at': tomorrow })
  await pass(1)
  expect(patches).toMatchObject([{ 'node-firewall.io/verified-at': status.verifiedAt }])
})

test.each([
  ['that is cut within a character', `${'x'.repeat(396)}${'\u{1F525}'.repeat(9)}`],
  ['of which half a character came', 'found "\uD83D": is no name'],
])('a message %s is written once, as the API server stores no half characters', async (_, message) => {
  const { publisher, patches, pass, statusAt } = setUp()
  for (let minutes = 0; minutes < 9; minutes += 1) {
    publisher.publish(statusAt(message))
    await pass(60_000)
    publisher.seen(stored(Object.assign({}, ...patches) as Annotations))
  }
  expect(patches).toHaveLength(1)
})

/** As the API server has them afterwards. */
function stored(annotations: Annotations): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).flatMap(([key, value]) =>
      value === null ? [] : [[key, value.toWellFormed()]],
    ),
  )
}

test('only what changed is written', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  publisher.publish(statusAt('one'))
  await pass(1)
  publisher.publish(statusAt('two'))
  await pass(1)
  expect(patches.at(-1)).toEqual({
    'node-firewall.io/message': 'two',
    'node-firewall.io/verified-at': expect.any(String),
  })
})

test('hundreds of changes cost no more than the budget, and the newest one is written in the end', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  for (let change = 0; change < 600; change += 1) {
    publisher.publish(statusAt(`change ${change}`))
    await pass(1000)
  }
  expect(patches.length).toBeLessThanOrEqual(writeBudget.burst + 600_000 / writeBudget.everyMs)
  await pass(writeBudget.everyMs)
  expect(patches.at(-1)).toMatchObject({ 'node-firewall.io/message': 'change 599' })
})

test('a failed write is tried again, later each time, and not before the server asks', async () => {
  const { publisher, patches, errors, failWith, pass, statusAt } = setUp()
  failWith(new Error('no connection'), Object.assign(new Error('429'), { retryAfterSeconds: 60 }))
  publisher.publish(statusAt('fine'))
  await pass(2_000)
  expect(errors).toMatchObject([{ again: false }, { again: true }])
  await pass(59_000)
  expect(patches).toEqual([])
  await pass(10_000)
  expect(patches).toHaveLength(1)
  failWith(new Error('no connection'))
  publisher.publish(statusAt('changed'))
  await pass(1)
  expect(errors.at(-1)).toMatchObject({ again: false })
})

test('what the Node carries already is not written again, what somebody changed is', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  publisher.publish(statusAt('fine'))
  await pass(1)
  const carried = patches[0] as Record<string, string>
  publisher.seen({ ...carried, 'example.org/owner': 'infra' })
  await pass(1)
  expect(patches).toHaveLength(1)
  publisher.seen({ ...carried, 'node-firewall.io/state': 'Off' })
  await pass(1)
  expect(patches[1]).toEqual({ 'node-firewall.io/state': 'Enforcing' })
})

test('flush writes what is left, whatever the budget', async () => {
  const { publisher, patches, pass, statusAt } = setUp()
  for (let change = 0; change <= writeBudget.burst; change += 1) {
    publisher.publish(statusAt(`change ${change}`))
    await pass(1)
  }
  expect(patches).toHaveLength(writeBudget.burst)
  await publisher.flush()
  expect(patches.at(-1)).toMatchObject({ 'node-firewall.io/message': `change ${writeBudget.burst}` })
})

test('after a flush that failed nothing is left to be done', async () => {
  const { publisher, patches, errors, failWith, pass, statusAt } = setUp()
  failWith(new Error('gone'), new Error('gone'))
  publisher.publish(statusAt('fine'))
  await pass(1)
  await publisher.flush()
  expect(errors).toHaveLength(2)
  await pass(600_000)
  expect(patches).toEqual([])
})

test('the first write waits for what the Node carries already, but not for ever', async () => {
  const { publisher, patches, pass, statusAt } = setUp({ introduced: false })
  publisher.publish(statusAt('fine'))
  await pass(9_000)
  expect(patches).toEqual([])
  await pass(2_000)
  expect(patches).toHaveLength(1)

  const restarted = setUp({ introduced: false })
  restarted.publisher.publish(statusAt('fine'))
  restarted.publisher.seen(patches[0] as Record<string, string>)
  await restarted.pass(20_000)
  expect(restarted.patches).toEqual([])
})

describe('a change that is being tried', () => {
  const trying = (status: Status): Status => ({ ...status, state: 'Confirming' })

  test('costs one write when it is confirmed at once', async () => {
    const { publisher, patches, pass, statusAt } = setUp()
    publisher.publish(trying(statusAt('tried')))
    await pass(confirmingMs - 1)
    publisher.publish(statusAt('confirmed'))
    await pass(0)
    expect(patches.map((patch) => patch['node-firewall.io/state'])).toEqual(['Enforcing'])
    await pass(confirmingMs)
    expect(patches).toHaveLength(1)
  })

  test('is told of when it takes longer, however many passes there are meanwhile', async () => {
    const { publisher, patches, pass, statusAt } = setUp()
    for (let passes = 0; passes < 4; passes += 1) {
      publisher.publish(trying(statusAt('tried')))
      await pass(confirmingMs / 4)
    }
    expect(patches.map((patch) => patch['node-firewall.io/state'])).toEqual(['Confirming'])
  })

  test('leaves enough of the budget for how it ends: many changes in a row, none told of late', async () => {
    const { publisher, patches, pass, statusAt } = setUp()
    for (let change = 1; change <= 12; change += 1) {
      publisher.publish(trying(statusAt(`change ${change} is tried`)))
      await pass(20_000)
      publisher.publish(statusAt(`change ${change} is confirmed`))
      await pass(0)
      expect(patches.at(-1)).toMatchObject({ 'node-firewall.io/message': `change ${change} is confirmed` })
      await pass(10_000)
    }
  })

  test('is told of in the end, when that takes for ever', async () => {
    const { publisher, patches, pass, statusAt } = setUp()
    const changes = writeBudget.burst - writeBudget.reserve
    for (let change = 0; change < changes; change += 1) {
      publisher.publish(statusAt(`change ${change}`))
      await pass(0)
    }
    publisher.publish(trying(statusAt('tried')))
    await pass(writeBudget.everyMs * 0.9)
    expect(patches).toHaveLength(changes)
    await pass(writeBudget.everyMs * 0.2)
    expect(patches.at(-1)).toMatchObject({ 'node-firewall.io/state': 'Confirming' })
  })
})
