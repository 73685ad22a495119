import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { OutsideError } from '../../agent/errors.ts'
import { ProbeError } from '../../agent/probes/probe-error.ts'
import type { Probe } from '../../agent/probes/probe.ts'
import { createProber } from '../../agent/probes/prober.ts'

/** A clock that stands still until it is told to go on. */
function handClock() {
  const waits: { ms: number; end(): void }[] = []
  let now = 0
  return {
    /** It has gone on by so many ms. */
    goOn: (ms: number) => void (now += ms),
    /** What is waited for now, in ms. */
    waits: () => waits.map(({ ms }) => ms),
    /** Ends what is waited for, and lets what follows from it happen. */
    async pass() {
      for (const { end } of waits.splice(0)) end()
      await setImmediate()
    },
    clock: {
      now: () => now,
      wait: async (ms: number, signal: AbortSignal) =>
        new Promise<void>((resolve) => {
          const wait = { ms, end }
          function end() {
            waits.splice(0, waits.length, ...waits.filter((other) => other !== wait))
            signal.removeEventListener('abort', end)
            resolve()
          }
          if (signal.aborted) return resolve()
          waits.push(wait)
          signal.addEventListener('abort', end)
        }),
    },
  }
}

const never = Symbol('no answer')

/** A probe that gives one answer an attempt: that it works, a reason why not, or none ever. */
function probeOf(name: string, answers: readonly (string | undefined | typeof never)[]) {
  const left = [...answers]
  const signals: AbortSignal[] = []
  const attempt = async (signal: AbortSignal) => {
    signals.push(signal)
    const answer = left.shift()
    if (answer === never) return new Promise<void>(() => {})
    if (answer !== undefined) throw new OutsideError(answer)
  }
  return { name, before: attempt, after: attempt, signals } satisfies Probe & { signals: AbortSignal[] }
}

test('before: each is run once, and told in its place', async () => {
  const { clock, waits } = handClock()
  const probes = [probeOf('a', ['refused']), probeOf('b', [undefined]), probeOf('c', ['gone'])]
  const stop = new AbortController()
  expect(await createProber(clock).before(probes, stop.signal)).toEqual([
    { name: 'a', failure: 'refused' },
    { name: 'b' },
    { name: 'c', failure: 'gone' },
  ])
  expect(probes.map(({ signals }) => signals.length)).toEqual([1, 1, 1])
  expect(waits()).toEqual([])
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
})

test('before: one that never answers has failed after 10 s, and is called off', async () => {
  const { clock, waits, pass } = handClock()
  const probe = probeOf('a', [never])
  const stop = new AbortController()
  const results = createProber(clock).before([probe], stop.signal)
  expect(waits()).toEqual([10_000])
  expect(probe.signals[0]?.aborted).toBe(false)
  await pass()
  expect(await results).toEqual([{ name: 'a', failure: 'no answer within 10 s' }])
  expect(probe.signals[0]?.aborted).toBe(true)
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
})

test('before: called off, it resolves at once', async () => {
  const { clock, waits } = handClock()
  const probe = probeOf('a', [never])
  const stop = new AbortController()
  const results = createProber(clock).before([probe, probeOf('b', [undefined])], stop.signal)
  await setImmediate()
  stop.abort()
  expect(await results).toEqual([
    { name: 'a', failure: 'called off before there was an answer' },
    { name: 'b' },
  ])
  expect(probe.signals[0]?.aborted).toBe(true)
  expect(waits()).toEqual([])
})

test('a probe that has a bug, or throws before it promises anything, has failed', async () => {
  const fail = () => {
    throw new TypeError('no function')
  }
  const broken: Probe = { name: 'a', before: fail, after: fail }
  const { clock } = handClock()
  const { before } = createProber(clock)
  expect(await before([broken], AbortSignal.any([]))).toEqual([{ name: 'a', failure: 'no function' }])
})

test('after: those that fail are tried again until they pass, with pauses that grow up to 2 s', async () => {
  const { clock, waits, pass } = handClock()
  const once = probeOf('a', [undefined])
  const late = probeOf('b', ['1', '2', '3', '4', '5', '6', '7', undefined])
  const stop = new AbortController()
  const results = createProber(clock).after([once, late], stop.signal)
  await setImmediate()
  const pauses: number[] = []
  while (waits().length > 0) {
    pauses.push(...waits())
    await pass()
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000])
  expect(await results).toEqual([{ name: 'a' }, { name: 'b' }])
  expect([once, late].map(({ signals }) => signals.length)).toEqual([1, 8])
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
})

test('after: when the time is over, each that still fails is told with its last reason', async () => {
  const { clock, waits, pass, goOn } = handClock()
  const probes = [
    probeOf('passed', [undefined]),
    probeOf('fails', ['refused', 'no route']),
    probeOf('hangs', [never]),
    probeOf('hangs in the end', ['refused', never]),
  ]
  const stop = new AbortController()
  const results = createProber(clock).after(probes, stop.signal)
  await setImmediate()
  await pass()
  expect(waits()).toEqual([200])
  goOn(5_000)
  stop.abort()
  expect(await results).toEqual([
    { name: 'passed' },
    { name: 'fails', failure: 'no route' },
    { name: 'hangs', failure: 'still under way when the time was over' },
    {
      name: 'hangs in the end',
      failure: 'still under way when the time was over; the attempt before: refused',
    },
  ])
  expect(probes.flatMap(({ signals }) => signals.map(({ aborted }) => aborted))).not.toContain(false)
  expect(waits()).toEqual([])
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
})

test.each([
  ['what it waited for', new OutsideError('not renewed since'), ': not renewed since'],
  ['that it was called off', new ProbeError('called off'), ''],
  ['nothing of use', new Error('aborted'), ''],
])('after: the end of time is what one under way failed of, which may say %s', async (_, error, words) => {
  const { clock, goOn } = handClock()
  const attempt = async (signal: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(error))
    })
  const stop = new AbortController()
  const results = createProber(clock).after([{ name: 'a', before: attempt, after: attempt }], stop.signal)
  await setImmediate()
  goOn(5_000)
  stop.abort()
  expect(await results).toEqual([{ name: 'a', failure: `still under way when the time was over${words}` }])
})

test.each<[string, string | undefined | typeof never, readonly object[]]>([
  ['passes', undefined, [{ name: 'a' }]],
  ['fails', 'refused', [{ name: 'a', failure: 'refused' }]],
  ['never ends', never, [{ name: 'a', failure: 'still under way when the time was over' }]],
])(
  'after: each is tried once, though the time is over before it begins: one that %s',
  async (_, answer, told) => {
    const { clock, waits, pass } = handClock()
    const probe = probeOf('a', [answer])
    const results = createProber(clock).after([probe], AbortSignal.abort())
    await setImmediate()
    expect(waits()).toEqual(answer === never ? [5_000] : [])
    await pass()
    expect(await results).toEqual(told)
    expect(probe.signals).toHaveLength(1)
  },
)

test('after: the first attempt has 5 s, which the end of time does not cut short', async () => {
  const { clock, waits, pass, goOn } = handClock()
  const stop = new AbortController()
  const results = createProber(clock).after([probeOf('a', [never])], stop.signal)
  goOn(2_000)
  stop.abort()
  await setImmediate()
  expect(waits()).toEqual([3_000])
  await pass()
  expect(await results).toEqual([{ name: 'a', failure: 'still under way when the time was over' }])
})

test.each(['before', 'after'] as const)('%s: nothing is begun when it is called off already', async (way) => {
  const { clock } = handClock()
  const probe = probeOf('a', [undefined])
  const off = AbortSignal.abort()
  const results = await createProber(clock)[way]([probe], off, off)
  expect(results.map(({ failure }) => failure)).toEqual([expect.any(String)])
  expect(probe.signals).toEqual([])
})

test('many side by side cost no warning', async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => void warnings.push(warning)
  process.on('warning', note)
  const { clock, goOn } = handClock()
  const stop = new AbortController()
  const probes = Array.from({ length: 40 }, (_, index) => probeOf(`p${index}`, [never]))
  const results = createProber(clock).after(probes, stop.signal)
  await setImmediate()
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(40)
  goOn(5_000)
  stop.abort()
  expect(await results).toHaveLength(40)
  await setImmediate()
  process.off('warning', note)
  expect(warnings).toEqual([])
})
