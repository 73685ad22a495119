import { createTask, parse } from 'node-cron'

/** The schedule is looked at again this often, so that a clock that was set delays nothing for long. */
const longestMs = 10 * 60_000

/** A timer may ring a moment before its time, and would find the same time again. */
const lateMs = 5

const minuteMs = 60_000

/**
 * Calls back whenever a cron expression (with seconds) says, until the function that is returned is called.
 *
 * The wait for the next time goes by a clock that nobody can set: a node whose clock is set a day back, or forth, is
 * not left alone for a day, nor are all the times between made up for. (The timers of `node-cron` do both.)
 */
export function startSchedule(expression: string, callback: () => void): () => void {
  const findNext = createFindNext(expression)
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    // On a busy machine the time has come before it is found.
    const ms = Math.max(0, findNext(Date.now()) - Date.now()) + lateMs
    timer = setTimeout(ms > longestMs ? wait : ring, Math.min(ms, longestMs))
  }
  const ring = () => {
    wait()
    callback()
  }
  wait()
  return () => clearTimeout(timer)
}

/**
 * When a cron expression (with seconds) is due next after a time, both in ms since 1970; never: Infinity.
 *
 * `node-cron` asks Intl for the parts of a time, whose data takes 8 MB of memory (measured). So what comes in each
 * hour of each day is found without: there only minutes and seconds count.
 */
export function createFindNext(expression: string): (after: number) => number {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(expression)
  const isHourly =
    hour.length === 24 && dayOfMonth.length === 31 && month.length === 12 && dayOfWeek.length === 7
  if (isHourly) return (after) => nextInHour(after, new Set(minute), second)
  const task = createTask(expression, () => {})
  // It knows only what comes after now.
  return () => task.getNextRuns(1)[0]?.getTime() ?? Infinity
}

function nextInHour(after: number, minutes: ReadonlySet<number>, seconds: readonly number[]): number {
  const first = new Date(after)
  const intoMinute = first.getSeconds() * 1_000 + first.getMilliseconds()
  for (let start = after - intoMinute; ; start += minuteMs) {
    if (!minutes.has(new Date(start).getMinutes())) continue
    const due = seconds.map((second) => start + second * 1_000).filter((at) => at > after)
    if (due.length > 0) return Math.min(...due)
  }
}
