import { createFlowLog, repeatMs } from '../denied/flow-log.ts'
import type { FlowLine } from '../denied/flow-log.ts'
import type { Logged } from '../denied/logged.ts'
import { createNames, logsAnything } from '../denied/names.ts'
import type { DeniedNews, LoggingStatus } from '../denied/news.ts'
import { createFlowCounter } from '../denied/top-flows.ts'
import type { TargetPid } from '../host/exec.ts'
import type { LogTarget, LogVerdict } from '../netfilter/log-text.ts'
import type { Wanted } from '../policy/decide.ts'
import type { Policy } from '../policy/policy.ts'
import type { Effects } from '../pass.ts'
import type { Logger } from '../telemetry/log.ts'
import { startLogReader } from './log-reader.ts'
import type { LogReader } from './log-reader.ts'

/** What rules log is read, and told of. */
export type Denials = NonNullable<Effects['logging']> & {
  /** For people on the node. */
  readonly news: () => DeniedNews
  readonly stop: () => Promise<void>
}

export type DenialsOptions = {
  readonly targetPid: TargetPid
  /** `auto`: NFLOG, or where it cannot be had the kernel's log. */
  readonly wish: LogTarget | 'auto'
  /** The agent does not stay to read. */
  readonly isBrief?: boolean
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** The target, or what there is to say of it, has changed. */
  readonly onChange: () => void
  /** The file of the kernel's log, if it is not `/dev/kmsg`. */
  readonly kernelLog?: string
}

type Names = {
  readonly policy: Policy
  readonly target: LogTarget
  readonly find: ReturnType<typeof createNames>
}

const mostRecent = 200
const mostInNews = 100
/** In an annotation that everybody who watches Nodes gets. */
const mostInStatus = 5

/** Reads for as long as rules log. Falls back to the kernel's log once: rules are not rewritten back and forth. */
export function openDenials(options: DenialsOptions): Denials {
  const { targetPid, wish, isBrief = false, log, onChange, kernelLog } = options
  const flows = createFlowLog(() => performance.now())
  const counter = createFlowCounter(Date.now)
  const recent: (FlowLine & { readonly time: string })[] = []
  let reader: LogReader | undefined
  let fallback: string | undefined
  let names: Names | undefined
  let isChoosing = false
  let unloggedBefore: number | undefined

  const target = (): LogTarget => {
    if (wish !== 'auto') return wish
    return isBrief || fallback !== undefined ? 'kernel' : 'nflog'
  }
  const take = (seen: Logged) => {
    const logged = { ...seen, ...names?.find(seen) }
    counter.see(logged)
    const line = flows.see(logged)
    if (line === undefined) return
    log.info(line, messages[line.verdict])
    recent.push({ ...line, time: new Date().toISOString() })
    if (recent.length > mostRecent) recent.shift()
  }
  const tellRest = () => {
    const untold = flows.takeUntold()
    if (untold !== undefined) log.info(untold, 'packets that rules logged and that have no line here')
  }
  const timer = setInterval(tellRest, repeatMs).unref()
  const change = () => {
    const complaint = reader?.target === 'nflog' ? reader.complaint() : undefined
    if (complaint !== undefined && wish === 'auto') fallback ??= complaint
    if (!isChoosing) onChange()
  }
  const start = () =>
    startLogReader(
      target(),
      targetPid,
      {
        onLogged: take,
        onLost: (packets) => flows.miss('lost', packets),
        onGap: (reason) => log.warn({ reason }, 'reading what rules log was interrupted'),
        onChange: change,
      },
      kernelLog,
    )
  const read = async () => {
    if (reader?.target !== target()) {
      await reader?.stop()
      reader = start()
    }
    await reader.settled
  }
  return {
    async chooseTarget(wanted) {
      if (isBrief || wanted.kind === 'whatever is there') return target()
      if (!isLogging(wanted)) {
        await reader?.stop()
        reader = undefined
        return target()
      }
      isChoosing = true
      await read()
      // Where it has turned out that NFLOG cannot be had.
      await read()
      isChoosing = false
      const chosen = target()
      // Each target cuts names where its room ends.
      if (names?.policy !== wanted.policy || names.target !== chosen)
        names = { policy: wanted.policy, target: chosen, find: createNames(wanted.policy, chosen) }
      return chosen
    },
    report(unlogged) {
      if (unlogged !== undefined) {
        flows.miss('overLimit', Math.max(0, unlogged - (unloggedBefore ?? unlogged)))
        unloggedBefore = unlogged
      }
      if (reader === undefined) return undefined
      return { logging: loggingOf(reader, fallback), denied: counter.top(mostInStatus) }
    },
    news: () => ({
      ...(reader === undefined ? {} : { logging: loggingOf(reader, fallback) }),
      top: counter.top(mostInNews),
      recent,
    }),
    async stop() {
      clearInterval(timer)
      await reader?.stop()
      tellRest()
    },
  }
}

const messages: Readonly<Record<LogVerdict, string>> = {
  accept: 'accepted',
  drop: 'denied',
  reject: 'denied',
  limit: 'denied, as it is over the limit',
  audit: 'would be denied',
}

function isLogging(wanted: Wanted): wanted is Wanted & { kind: 'policy' } {
  return wanted.kind === 'policy' && logsAnything(wanted.policy)
}

function loggingOf(reader: LogReader, fallback: string | undefined): LoggingStatus {
  const complaint = reader.complaint()
  const notes = [fallback, complaint].filter((note) => note !== undefined)
  return {
    by: complaint === undefined ? byWhat[reader.target] : 'nothing',
    ...(notes.length === 0 ? {} : { note: [...new Set(notes)].join('; ') }),
  }
}

const byWhat = { nflog: 'nflog', kernel: 'kernel log' } as const
