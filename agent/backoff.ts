const firstMs = 800

export type BackoffOptions = {
  /** The longest wait between two attempts, in ms. */
  readonly longestMs?: number
  /** What a server asked for (`Retry-After`). */
  readonly retryAfterSeconds?: number | undefined
}

/**
 * How many ms to wait before the next attempt: 0.8 s, doubled with each failure in a row up to a ceiling, and a
 * random half of it less, so that thousands of nodes do not come back at once. What a server asked for comes on
 * top. `random` lies in [0, 1).
 */
export function backoffMs(failures: number, random: number, options: BackoffOptions = {}): number {
  const { longestMs = 30_000, retryAfterSeconds = 0 } = options
  return retryAfterSeconds * 1000 + Math.min(longestMs, firstMs * 2 ** failures) * (0.5 + random / 2)
}
