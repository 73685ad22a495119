const units = { h: 3_600_000, m: 60_000, s: 1_000 }

/** The longest that a timer can wait, in ms: 24 days. */
const longestMs = 2 ** 31 - 1

/** `90s`, `5m`, `1h30m` in ms; undefined for what is none, no time at all, or too long. */
export function parseDuration(text: string): number | undefined {
  const [whole, h, m, s] = /^(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  const ms = Number(h ?? 0) * units.h + Number(m ?? 0) * units.m + Number(s ?? 0) * units.s
  return ms > 0 && ms <= longestMs ? ms : undefined
}

/** As kubectl shows ages: 45s, 12m, 5h, 3d. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}
