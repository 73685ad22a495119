import type { RateLimit } from './ruleset.ts'

export type Rate = Pick<RateLimit, 'rate' | 'unit'>

/** µs of each unit, from the longest to the shortest. */
const lengths = { day: 86_400e6, hour: 3_600e6, minute: 60e6, second: 1e6 } as const
const units = ['day', 'hour', 'minute', 'second'] as const

/** The kernel holds a rate as the time between two connections, in whole µs. */
const shortestPeriod = 1

/**
 * The most time that a bucket may take to fill. The kernel keeps its content in 64 bits, which overflow in silence
 * at one to two days' worth, depending on its clock (xt_hashlimit, CREDITS_PER_JIFFY). A bucket that was full and
 * idle for as long as it takes to fill comes to twice this before it is cut to its size.
 */
const longestFill = 43_200e6

/** The most that iptables takes (libxt_hashlimit, XT_HASHLIMIT_BURST_MAX). */
const highestBurst = 1_000_000

/** A bucket is filled once a tick of the kernel's clock; 100 a second are the fewest in use. */
const ticksPerSecond = 100

/**
 * Parses `200/second`, strictly: a whole number without leading zeros, and second, minute, hour or day in full.
 *
 * @throws {Error} whose message says "found X, expected Y".
 */
export function parseRate(text: string): Rate {
  const found = `found ${JSON.stringify(text)}, expected`
  const [, digits = '', word = ''] = /^([^/]+)\/([^/]+)$/.exec(text) ?? []
  if (!/^[1-9][0-9]*$/.test(digits)) {
    throw new Error(`${found} a whole number and second, minute, hour or day, such as "200/second"`)
  }
  const unit = units.find((known) => known === word)
  if (unit === undefined) {
    const guess = units.find((known) => known.startsWith(word.toLowerCase().replace(/s$/, '') || word))
    throw new Error(
      `${found} ${guess === undefined ? 'second, minute, hour or day' : `"${digits}/${guess}"`}`,
    )
  }
  const parsed = { rate: Number(digits), unit }
  const highest = lengths[unit] / shortestPeriod
  if (parsed.rate > highest) throw new Error(`${found} at most ${highest}/${unit}`)
  if (burstBounds(parsed).most < 1) throw new Error(`${found} at least ${lengths.day / longestFill}/day`)
  return parsed
}

/**
 * Whether a rate can be held as it is written, and the nearest ones that can. A period of whole µs cannot hold
 * every rate: 10001/second would become 10101/second.
 */
export function nearestRates({ rate, unit }: Rate): { exact: boolean; below: string; above: string } {
  const written = `${rate}/${unit}`
  if (isHeld(rate, unit)) return { exact: true, below: written, above: written }
  const period = periodOf({ rate, unit })
  return { exact: false, below: firstHeld(period + 1, 1, unit), above: firstHeld(period, -1, unit) }
}

/**
 * The bursts that a rate can have. With fewer than `least` the bucket would be full before the next tick of the
 * kernel's clock, and less than the rate would pass; more than `most` it cannot hold.
 */
export function burstBounds({ rate, unit }: Rate): { least: number; most: number } {
  const perTick = (rate * lengths.second) / lengths[unit] / ticksPerSecond
  const most = Math.min(highestBurst, Math.floor(longestFill / periodOf({ rate, unit })))
  return { least: Math.max(1, Math.ceil(perTick)), most }
}

/** µs between two connections at this rate, as iptables tells the kernel. */
export function periodOf({ rate, unit }: Rate): number {
  return Math.floor(lengths[unit] / rate)
}

/** The rate as `iptables-save` prints it: in the shortest unit in which what is lost counts as little. */
export function savedRate(rate: Rate): Rate {
  const period = periodOf(rate)
  const tooShort = units.findIndex((unit, index) => {
    const whole = Math.floor(lengths[unit] / period)
    return index > 0 && (period > lengths[unit] || whole < lengths[unit] % period)
  })
  const unit = units.at(tooShort === -1 ? -1 : tooShort - 1) ?? 'day'
  return { rate: Math.floor(lengths[unit] / period), unit }
}

/** ms of a unit. */
export function unitMs(unit: Rate['unit']): number {
  return lengths[unit] / 1000
}

/** Whether a rate is the same after it went to the kernel as `iptables-save` would print it. */
function isHeld(rate: number, unit: Rate['unit']): boolean {
  return Math.floor(lengths[unit] / periodOf(savedRate({ rate, unit }))) === rate
}

function firstHeld(period: number, step: 1 | -1, unit: Rate['unit']): string {
  const rate = Math.floor(lengths[unit] / period)
  return isHeld(rate, unit) ? `${rate}/${unit}` : firstHeld(period + step, step, unit)
}
