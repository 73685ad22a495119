import type { RateLimit } from './ruleset.ts'
export type Rate = Pick<RateLimit, 'rate' | 'unit'>
export function parseRate(text: string): Rate {
  const [, rate, unit] = /^([1-9][0-9]*)\/(second|minute|hour|day)$/.exec(text) ?? []
  if (rate === undefined) throw new Error('expected a rate such as "200/second"')
  return { rate: Number(rate), unit: unit as Rate['unit'] }
}
