import type { FlowLine } from './flow-log.ts'
import type { TopFlows } from './top-flows.ts'

/** How what rules log is read. */
export type LoggingStatus = {
  /** `nothing`: it is not read. */
  readonly by: 'nflog' | 'kernel log' | 'nothing'
  /** Why it is not read, or not by NFLOG. */
  readonly note?: string
}

/** What an agent tells people on its node. */
export type DeniedNews = {
  /** Absent: no rule logs. */
  readonly logging?: LoggingStatus
  readonly top: TopFlows
  /** The latest lines, oldest first; time in RFC 3339. */
  readonly recent: readonly (FlowLine & { readonly time: string })[]
}
