/** The clock of the machine can be set: it is looked at this often. */
const longestMs = 60_000

export type Alarm = {
  /** Rings at this time, in ms since the epoch, instead of any set before; Infinity: never. */
  setTo(time: number): void
}

/** Calls back once the time has come by the clock of the machine, a minute later at most where that was set forward. */
export function createAlarm(ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined
  const wait = (time: number) => {
    const left = time - Date.now()
    if (left <= 0) ring()
    else timer = setTimeout(wait, Math.min(longestMs, left), time)
  }
  return {
    setTo(time) {
      clearTimeout(timer)
      if (time !== Infinity) timer = setTimeout(wait, 0, time)
    },
  }
}
