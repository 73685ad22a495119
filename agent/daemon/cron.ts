import { createTask } from 'node-cron'

/** The schedule is looked at again this often, so that a clock that was set delays nothing for long. */
const longestMs = 10 * 60_000

/** A timer may ring a moment before its time, and would find the same time again. */
const lateMs = 5

/**
 * Calls back whenever a cron expression (with seconds) says, until the function that is returned is called.
 *
 * The wait for the next time goes by a clock that nobody can set: a node whose clock is set a day back, or forth, is
 * not left alone for a day, nor are all the times between made up for. (The timers of `node-cron` do both.)
 */
export function startSchedule(expression: string, callback: () => void): () => void {
  const task = createTask(expression, () => {})
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    const [next] = task.getNextRuns(1)
    // On a busy machine the time has come before it is found.
    const ms = Math.max(0, (next?.getTime() ?? Infinity) - Date.now()) + lateMs
    timer = setTimeout(ms > longestMs ? wait : ring, Math.min(ms, longestMs))
  }
  const ring = () => {
    wait()
    callback()
  }
  wait()
  return () => clearTimeout(timer)
}
