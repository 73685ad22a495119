import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { backoffMs } from '../backoff.ts'
import { inNetworkOf, killGroup } from './exec.ts'
import type { TargetPid } from './exec.ts'

export type MonitorCommand = readonly [program: string, ...args: string[]]

export type MonitorHandlers = {
  /** One line of what it prints. */
  onLine(line: string): void
  /**
   * It ended, so events may have been missed; it is started again after a while.
   *
   * @param isFailing whether it keeps ending soon after its start, and so do those that can take its place
   */
  onGap(reason: string, isFailing: boolean): void
  /** After such gaps, one has not ended for a while. */
  onSteady?(): void
}

const defaultHealthyMs = 60_000

/**
 * Follows what a command such as `nft monitor` prints in the network namespace of a process, for as long as the
 * signal is not aborted. The kernel drops events when a monitor cannot keep up, upon which it ends; it is restarted
 * with growing delays. Where there are several commands that can tell the same, one that soon ends is followed by the
 * next, as it may never do here.
 *
 * @param healthyMs one that ran for so long was well, and is started again soon
 */
export async function watchCommand(
  targetPid: TargetPid,
  commands: MonitorCommand | readonly MonitorCommand[],
  handlers: MonitorHandlers,
  signal: AbortSignal,
  healthyMs = defaultHealthyMs,
): Promise<void> {
  const turns = isOne(commands) ? [commands] : commands
  let failures = 0
  while (!signal.aborted) {
    const [program, ...args] = turns[failures % turns.length] ?? ['true']
    const { file, args: all } = inNetworkOf(targetPid, program, args)
    // Should we be killed, it is killed too: it would go on until it had something to print, and find nobody to read it.
    const command = { file: 'setpriv', args: ['--pdeathsig', 'KILL', file, ...all] }
    let isSteady = false
    const healthy = setTimeout(() => {
      isSteady = true
      if (failures > 0) handlers.onSteady?.()
      failures = 0
    }, healthyMs)
    const reason = await followOnce(command, handlers, signal)
    clearTimeout(healthy)
    if (signal.aborted) return
    if (!isSteady) failures += 1
    handlers.onGap(reason, failures > turns.length)
    await pause(backoffMs(failures, Math.random()), undefined, { signal }).catch(() => {})
  }
}

function isOne(commands: MonitorCommand | readonly MonitorCommand[]): commands is MonitorCommand {
  return typeof commands[0] === 'string'
}

async function followOnce(
  { file, args }: { readonly file: string; readonly args: readonly string[] },
  handlers: MonitorHandlers,
  signal: AbortSignal,
): Promise<string> {
  const child = execa(file, args, {
    buffer: false,
    env: { LC_ALL: 'C' },
    reject: false,
    stdin: 'ignore',
    // A group of its own: what a wrapper script has started holds its pipes open after the script was killed.
    detached: true,
  })
  const { pid } = child
  const end = () => {
    if (pid !== undefined) killGroup(pid)
  }
  signal.addEventListener('abort', end, { once: true })
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => handlers.onLine(line))
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, 500)
  })
  const { shortMessage = 'it ended' } = await child
  signal.removeEventListener('abort', end)
  lines.close()
  return complaint.trim() || shortMessage
}
