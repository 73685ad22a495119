import type { PortRange } from '../ruleset/ruleset.ts'

const highest = 65_535

/** The ports in both lists, sorted, with what overlaps or touches made one. */
export function intersectRanges(a: readonly PortRange[], b: readonly PortRange[]): PortRange[] {
  const common = a.flatMap((one) =>
    b.map((other) => ({ first: Math.max(one.first, other.first), last: Math.min(one.last, other.last) })),
  )
  return joinRanges(common.filter(({ first, last }) => first <= last))
}

/** All ports that are in none of the ranges. Port 0 is nobody's and left out. */
export function invertRanges(ranges: readonly PortRange[]): PortRange[] {
  const gaps: PortRange[] = []
  let next = 1
  for (const { first, last } of joinRanges(ranges)) {
    if (first > next) gaps.push({ first: next, last: first - 1 })
    next = last + 1
  }
  return next > highest ? gaps : [...gaps, { first: next, last: highest }]
}

/** Sorted, with what overlaps or touches made one. */
export function joinRanges(ranges: readonly PortRange[]): PortRange[] {
  const joined: PortRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = joined.at(-1)
    if (last === undefined || range.first > last.last + 1) joined.push(range)
    else joined[joined.length - 1] = { first: last.first, last: Math.max(last.last, range.last) }
  }
  return joined
}
