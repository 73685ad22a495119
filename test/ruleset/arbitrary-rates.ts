import fc from 'fast-check'
import type { Rate } from '../../agent/ruleset/rate.ts'

const perUnit = { day: 86_400e6, hour: 3_600e6, minute: 60e6, second: 1e6 } as const

/** Rates of every size that can be written, whether the kernel can hold them or not. */
export const anyRate: fc.Arbitrary<Rate> = fc
  .record({
    unit: fc.constantFrom('day', 'hour', 'minute', 'second'),
    power: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ unit, power }) => ({
    unit,
    rate: Math.max(unit === 'day' ? 2 : 1, Math.floor(perUnit[unit] ** power)),
  }))
