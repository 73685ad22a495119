import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { burstBounds, nearestRates, parseRate, periodOf, savedRate } from '../../agent/ruleset/rate.ts'
import type { Rate } from '../../agent/ruleset/rate.ts'
import { anyRate } from './arbitrary-rates.ts'

const written = ({ rate, unit }: Rate) => `${rate}/${unit}`

describe('parseRate', () => {
  test.each([
    ['200/second', 200, 'second'],
    ['1/hour', 1, 'hour'],
    ['2/day', 2, 'day'],
    ['1000000/second', 1_000_000, 'second'],
    ['60000000/minute', 60_000_000, 'minute'],
  ])('reads %s', (text, rate, unit) => {
    expect(parseRate(text)).toEqual({ rate, unit })
  })

  test.each([
    ['200/sec', 'expected "200/second"'],
    ['200/s', 'expected "200/second"'],
    ['200/Minutes', 'expected "200/minute"'],
    ['5/h', 'expected "5/hour"'],
    ['5/week', 'expected second, minute, hour or day'],
    ['200', 'such as "200/second"'],
    ['200/', 'such as "200/second"'],
    ['/second', 'such as "200/second"'],
    ['0/second', 'such as "200/second"'],
    ['010/second', 'such as "200/second"'],
    ['0.5/second', 'such as "200/second"'],
    ['-1/second', 'such as "200/second"'],
    ['1e3/second', 'such as "200/second"'],
    [' 1/second', 'such as "200/second"'],
    ['1/second/2', 'such as "200/second"'],
    ['1000001/second', 'at most 1000000/second'],
    ['99999999999999999999/day', 'at most 86400000000/day'],
    ['1/day', 'at least 2/day'],
  ])('refuses %j: %s', (text, complaint) => {
    expect(() => parseRate(text)).toThrow(complaint)
    expect(() => parseRate(text)).toThrow(`found ${JSON.stringify(text)}, expected `)
  })
})

describe('nearestRates', () => {
  test.each([
    ['200/second', undefined],
    ['300/second', undefined],
    ['7/minute', undefined],
    ['1/hour', undefined],
    ['1000000/hour', undefined],
    ['10001/second', ['10000/second', '10101/second']],
    ['1500/second', ['1499/second', '1501/second']],
    ['999999/second', ['500000/second', '1000000/second']],
    ['12002/minute', ['12000/minute', '12004/minute']],
  ])('%s', (text, nearest) => {
    const { exact, below, above } = nearestRates(parseRate(text))
    expect({ exact, rates: [below, above] }).toEqual({
      exact: nearest === undefined,
      rates: nearest ?? [text, text],
    })
  })

  test('both can be held, and nothing that can be held lies between them', () => {
    fc.assert(
      fc.property(anyRate, (rate) => {
        const { exact, below, above } = nearestRates(rate)
        const [low, high] = [parseRate(below), parseRate(above)]
        expect([nearestRates(low).exact, nearestRates(high).exact]).toEqual([true, true])
        if (exact) expect([low, high]).toEqual([rate, rate])
        else expect([low.rate < rate.rate, rate.rate < high.rate]).toEqual([true, true])
        const between = [low.rate + 1, Math.floor((low.rate + rate.rate) / 2), high.rate - 1].filter(
          (candidate) => candidate > low.rate && candidate < high.rate,
        )
        expect(between.filter((candidate) => nearestRates({ ...rate, rate: candidate }).exact)).toEqual([])
      }),
      { numRuns: 2000 },
    )
  })
})

test.each([
  ['60/minute', '1/second'],
  ['90/minute', '90/minute'],
  ['3600/hour', '1/second'],
  ['48/day', '2/hour'],
  ['1000000/hour', '16666/minute'],
  ['10001/second', '10101/second'],
])('%s comes back from the kernel as %s', (text, saved) => {
  expect(written(savedRate(parseRate(text)))).toBe(saved)
})

test('what comes back from the kernel stays as it is', () => {
  fc.assert(
    fc.property(anyRate, (rate) => {
      expect(savedRate(savedRate(rate))).toEqual(savedRate(rate))
    }),
  )
})

describe('burstBounds', () => {
  test.each([
    ['1/hour', 1, 12],
    ['2/day', 1, 1],
    ['1/minute', 1, 720],
    ['1/second', 1, 43_200],
    ['200/second', 2, 1_000_000],
    ['10000/second', 100, 1_000_000],
  ])('%s: from %i to %i', (text, least, most) => {
    expect(burstBounds(parseRate(text))).toEqual({ least, most })
  })

  test('the largest bucket and as much again can be counted on every kernel clock', () => {
    fc.assert(
      fc.property(anyRate, fc.integer({ min: 100, max: 1024 }), (rate, hertz) => {
        const perDay = BigInt(hertz * 86_400)
        // A power of two, so that it costs the kernel a shift.
        const perTick = 2n ** BigInt(((2n ** 64n - 1n) / perDay).toString(2).length - 1)
        const perMicrosecond = (BigInt(hertz) * perTick) / 1_000_000n
        const full = BigInt(periodOf(rate) * burstBounds(rate).most) * perMicrosecond
        expect(2n * full < 2n ** 64n).toBe(true)
      }),
    )
  })
})
