/** Wakes who waits for work. A ring that nobody waits for is not lost. */
export type Bell = {
  readonly ring: () => void
  /** Resolves when it was rung since the last time. */
  readonly rung: () => Promise<void>
}

export function createBell(): Bell {
  let next = Promise.withResolvers<void>()
  return {
    ring: () => next.resolve(),
    async rung() {
      await next.promise
      next = Promise.withResolvers()
    },
  }
}
