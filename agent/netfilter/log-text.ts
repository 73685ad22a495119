import { createHash } from 'node:crypto'

/** What became of the packet: `audit` would have been denied, `limit` exceeded the limit of an accept rule. */
export type LogVerdict = (typeof logVerdicts)[number]
export const logVerdicts = ['accept', 'drop', 'reject', 'audit', 'limit'] as const

/**
 * Where rules that log send packets: `nflog` to whoever listens to a group (here the agent), from any network
 * namespace; `kernel` to the kernel's log, which shows nothing of namespaces other than the first.
 */
export type LogTarget = 'nflog' | 'kernel'

/** The group of NFLOG that is ours; each has one listener at the most (nfnetlink_log.c). */
export const nflogGroup = 10_268

/** What every line begins with. */
export const logTag = 'node-fw'

/**
 * The most that fits in front of a line: iptables cuts the rest of what LOG has without a word (xt_LOG.h), and of what
 * NFLOG has on iptables-legacy (xt_NFLOG.h; with nft it may be longer). A line of the kernel's log goes on behind it.
 */
const places = {
  nflog: { longest: 63, end: '' },
  kernel: { longest: 29, end: ' ' },
} as const satisfies Record<LogTarget, object>

/** Characters of the hash that stands for a name that is cut. */
const hashLength = 4

/** Who logs, and why. */
export type LogName = {
  readonly verdict: LogVerdict
  /** Absent: the rule is of none. */
  readonly ruleset?: string | undefined
  readonly rule: string
}

/**
 * Logs 10 packets a second after 20 at once for each rule, in the text that `iptables-save` prints. What the kernel's
 * log gets has level 6 (info) and not the default warning: a node that shows warnings on a serial console would wait
 * for it with each packet.
 *
 * It stands behind the comment, at the end of the rule.
 */
export function logMatchAndTarget(target: LogTarget, name: LogName): string {
  const prefix = logPrefix(target, name)
  const quoted = /^[A-Za-z0-9_-]+$/.test(prefix) ? prefix : `"${prefix}"`
  const limit = '-m limit --limit 10/sec --limit-burst 20'
  if (target === 'kernel') return `${limit} -j LOG --log-prefix ${quoted} --log-level 6`
  return `${limit} -j NFLOG --nflog-prefix ${quoted} --nflog-group ${nflogGroup}`
}

/**
 * What stands in front of a line: `node-fw drop web/ssh`. What does not fit is the start of the rule's name and a hash
 * of ruleset and rule, `node-fw drop node ports~2e25`, which `iptables-save` shows beside the whole name.
 */
export function logPrefix(target: LogTarget, { verdict, ruleset, rule }: LogName): string {
  const { longest, end } = places[target]
  const name = ruleset === undefined ? rule : `${ruleset}/${rule}`
  const start = `${logTag} ${verdict} `
  const room = longest - start.length - end.length
  if (name.length <= room) return start + name + end
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashLength)
  return `${start}${rule.slice(0, room - hash.length - 1)}~${hash}${end}`
}

const prefixPattern = new RegExp(
  `^${logTag} (?<verdict>${logVerdicts.join('|')}) ` +
    '(?:(?<ruleset>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/)?' +
    '(?<rule>[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,80})(?:~[0-9a-f]{4})?)$',
)

/** Reads what `logPrefix` wrote; a name that was cut stays as it is. Nothing for what others let log. */
export function parseLogPrefix(prefix: string): LogName | undefined {
  const { verdict: word, ruleset, rule } = prefixPattern.exec(prefix.trimEnd())?.groups ?? {}
  const verdict = logVerdicts.find((one) => one === word)
  if (verdict === undefined || rule === undefined) return undefined
  return {
    verdict,
    ...(ruleset === undefined ? {} : { ruleset }),
    rule,
  }
}
