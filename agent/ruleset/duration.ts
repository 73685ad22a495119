/**
 * Parses `2s` or `500ms`, strictly: a whole number without leading zeros, and its unit.
 *
 * @returns ms
 * @throws {Error} whose message says "found X, expected Y".
 */
export function parseDuration(text: string, { leastMs, mostMs }: DurationBounds): number {
  const [, digits, unit] = /^([1-9][0-9]{0,8})(ms|s)$/.exec(text) ?? []
  const ms = digits === undefined ? Number.NaN : Number(digits) * (unit === 's' ? 1000 : 1)
  if (ms >= leastMs && ms <= mostMs) return ms
  const bounds = `from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}`
  throw new Error(`found ${JSON.stringify(text)}, expected a time ${bounds}, such as "2s" or "500ms"`)
}

export type DurationBounds = { readonly leastMs: number; readonly mostMs: number }

/** `2s`, or `500ms` for what is no whole number of seconds. */
export function formatDuration(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}
