const firstMs = 800

/** A server that asks for days has a wrong clock, or is no API server; and a timer takes no more than 25 days. */
const longestAskedMs = 600_000

export type BackoffOptions = {
  /** The longest wait between two attempts, in ms. */
  readonly longestMs?: number
  /** What a server asked for (`Retry-After`); of more than 10 minutes it gets 10. */
  readonly retryAfterSeconds?: number | undefined
}

/**
 * How many ms to wait before the next attempt: 0.8 s, doubled with each failure in a row up to a ceiling, and a
 * random half of it less, so that thousands of nodes do not come back at once. What a server asked for comes on
 * top. `random` lies in [0, 1).
 */
export function backoffMs(failures: number, random: number, options: BackoffOptions = {}): number {
  const { longestMs = 30_000, retryAfterSeconds = 0 } = options
  const askedMs = Math.min(longestAskedMs, retryAfterSeconds * 1000)
  return askedMs + Math.min(longestMs, firstMs * 2 ** failures) * (0.5 + random / 2)
}
