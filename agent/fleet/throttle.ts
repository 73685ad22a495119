export type Throttle = {
  /** Asks for a call: at once, or as soon as the last one is long enough ago. */
  readonly poke: () => void
  readonly stop: () => void
}

/** Calls `act` no more often than each `ms`, and never misses the newest reason to. */
export function createThrottle(act: () => void, ms: number): Throttle {
  let resting: NodeJS.Timeout | undefined
  let asked = false
  const run = () => {
    asked = false
    resting = setTimeout(() => {
      resting = undefined
      if (asked) run()
    }, ms)
    act()
  }
  return {
    poke() {
      asked = true
      if (resting === undefined) run()
    },
    stop: () => clearTimeout(resting),
  }
}
