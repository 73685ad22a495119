import { createHash } from 'node:crypto'

/** What became of the packet: `audit` would have been denied, `limit` exceeded the limit of an accept rule. */
export type LogVerdict = 'accept' | 'drop' | 'reject' | 'audit' | 'limit'

/** What every line in the kernel's log begins with. */
export const logTag = 'node-fw'

/** The most that fits in front of a line, of which iptables cuts the rest without a word (xt_LOG.h). */
const longestPrefix = 29

/** Characters of the hash that stands for a name that is cut. */
const hashLength = 4

/**
 * Logs to the kernel's log, 10 lines a second after 20 at once for each rule, in the text that `iptables-save`
 * prints. LOG and not NFLOG: `dmesg` and the journal of any node show it, where NFLOG shows nothing until somebody
 * listens to its group. Level 6 (info) and not the default warning: a node that shows warnings on a serial
 * console would wait for it with each packet.
 *
 * It stands behind the comment, at the end of the rule.
 */
export function logMatchAndTarget(verdict: LogVerdict, ruleset: string | undefined, rule: string): string {
  return `-m limit --limit 10/sec --limit-burst 20 ${logTarget(logPrefix(verdict, ruleset, rule))}`
}

/**
 * What stands in front of a line: `node-fw drop web/ssh `. What does not fit is the start of the rule's name and a
 * hash of ruleset and rule, `node-fw drop node ports~2e25 `, which `iptables-save` shows beside the whole name.
 *
 * @param ruleset `undefined`: the rule is of none
 */
export function logPrefix(verdict: LogVerdict, ruleset: string | undefined, rule: string): string {
  const name = ruleset === undefined ? rule : `${ruleset}/${rule}`
  const start = `${logTag} ${verdict} `
  const room = longestPrefix - start.length - 1
  if (name.length <= room) return `${start}${name} `
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashLength)
  return `${start}${rule.slice(0, room - hash.length - 1)}~${hash} `
}

/** @param prefix of at most 29 characters; quotes and backslashes have no place in it. */
export function logTarget(prefix: string): string {
  return `-j LOG --log-prefix ${/^[A-Za-z0-9_-]+$/.test(prefix) ? prefix : `"${prefix}"`} --log-level 6`
}
