import { readKernelLine } from '../denied/kernel-line.ts'
import type { Logged } from '../denied/logged.ts'
import { readNflogLine } from '../denied/nflog-message.ts'
import type { TargetPid } from '../host/exec.ts'
import { gapLine, kernelLogCommand, nflogCommand, readyLine } from '../host/log-readers.ts'
import { watchCommand } from '../host/watch-command.ts'
import type { LogTarget } from '../netfilter/log-text.ts'

/** Reads what rules log, in a process of its own that is started again when it ends. */
export type LogReader = {
  readonly target: LogTarget
  /** Resolves when it listens, or it is plain that it cannot. */
  readonly settled: Promise<void>
  /** Why nothing is read; nothing while it is well, and while it is started again for the first time. */
  readonly complaint: () => string | undefined
  readonly stop: () => Promise<void>
}

export type LogReaderHandlers = {
  onLogged(logged: Logged): void
  /** Packets that the kernel had logged and that did not come. */
  onLost(packets: number): void
  /** It ended; what was logged meanwhile is lost. */
  onGap(reason: string): void
  /** The complaint is there, or is gone. */
  onChange(): void
}

/** What is not there by then hangs, in ms. */
const patienceMs = 5_000

/** @param kernelLog the file of the kernel's log, if it is not `/dev/kmsg` */
export function startLogReader(
  target: LogTarget,
  targetPid: TargetPid,
  handlers: LogReaderHandlers,
  kernelLog?: string,
): LogReader {
  const controller = new AbortController()
  const { promise: settled, resolve: settle } = Promise.withResolvers<void>()
  // One that never listened has failed already.
  let failures = 1
  let reason: string | undefined
  let sequence = -1

  const complain = (complaint: string | undefined) => {
    const isNew = (reason === undefined) !== (complaint === undefined)
    reason = complaint
    settle()
    if (isNew) handlers.onChange()
  }
  const take = target === 'nflog' ? takeNflog : takeKernel
  const watching = watchCommand(
    targetPid,
    target === 'nflog' ? nflogCommand() : kernelLogCommand(kernelLog),
    {
      onLine(line) {
        if (line !== readyLine) return take(line)
        failures = 0
        sequence = -1
        complain(undefined)
      },
      onGap(gap) {
        failures += 1
        handlers.onGap(gap)
        if (failures > 1) complain(gap)
      },
    },
    controller.signal,
  )
  const patience = setTimeout(() => complain('its reader does not start'), patienceMs).unref()
  void settled.then(() => clearTimeout(patience))

  function takeNflog(line: string): void {
    const message = readNflogLine(line)
    const { sequence: at = sequence } = message ?? {}
    if (at > sequence + 1) handlers.onLost(at - sequence - 1)
    sequence = at
    if (message?.logged !== undefined) handlers.onLogged(message.logged)
  }
  function takeKernel(line: string): void {
    if (line === gapLine) return handlers.onLost(1)
    const logged = readKernelLine(line)
    if (logged !== undefined) handlers.onLogged(logged)
  }
  return {
    target,
    settled,
    complaint: () => reason,
    async stop() {
      controller.abort()
      settle()
      await watching
    },
  }
}
