/** A timer takes no longer delay than this many ms: about 25 days (setTimeout, Node.js). */
const longestMs = 2 ** 31 - 1

export type Alarm = {
  /** Rings at this time, in ms since the epoch, instead of any set before; Infinity: never. */
  setTo(time: number): void
}

/** Calls back once the time has come; for times that lie too far ahead earlier, to be set anew. */
export function createAlarm(ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined
  return {
    setTo(time) {
      clearTimeout(timer)
      if (time === Infinity) return
      timer = setTimeout(ring, Math.min(longestMs, Math.max(0, time - Date.now())))
    },
  }
}
