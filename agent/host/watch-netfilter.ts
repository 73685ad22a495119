import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { execa } from 'execa'
import { backoffMs } from '../backoff.ts'
import { inNetworkOf } from './exec.ts'

export type MonitorHandlers = {
  /** One line of `nft monitor`. */
  onLine(line: string): void
  /** The monitor ended, so events may have been missed; it is started again after a while. */
  onGap(reason: string): void
}

/** A monitor that ran for so long was well, and is started again soon. */
const healthyMs = 60_000

/**
 * Follows `nft monitor` in the namespace of a process for as long as the signal is not aborted. The kernel drops
 * events when the monitor cannot keep up, upon which it ends; it is restarted with growing delays.
 */
export async function watchNetfilter(
  targetPid: number,
  handlers: MonitorHandlers,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const startedAt = performance.now()
    const reason = await followOnce(targetPid, handlers, signal)
    if (signal.aborted) return
    handlers.onGap(reason)
    failures = performance.now() - startedAt > healthyMs ? 0 : failures + 1
    await setTimeout(backoffMs(failures, Math.random()), undefined, { signal }).catch(() => {})
  }
}

async function followOnce(
  targetPid: number,
  handlers: MonitorHandlers,
  signal: AbortSignal,
): Promise<string> {
  const { file, args } = inNetworkOf(targetPid, 'nft', ['monitor'])
  const child = execa(file, args, {
    buffer: false,
    cancelSignal: signal,
    env: { LC_ALL: 'C' },
    reject: false,
    stdin: 'ignore',
  })
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => handlers.onLine(line))
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, 500)
  })
  const { shortMessage = 'it ended' } = await child
  lines.close()
  return complaint.trim() || shortMessage
}
