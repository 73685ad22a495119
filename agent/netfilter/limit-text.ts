import { createHash } from 'node:crypto'
import type { Family } from '../ruleset/address.ts'
import { periodOf, savedRate, unitMs } from '../ruleset/rate.ts'
import type { ConnectionLimit, LimitScope, RateLimit } from '../ruleset/ruleset.ts'

/*
 * The most sources one limit tells apart, and the lists they are kept in. It is what kube-proxy gives conntrack
 * at the least, so who can fill this table can fill that one too. 120 bytes a source: 15 MiB at the most, for
 * each limit and family. Left out, both would depend on the memory of the node.
 */
const mostSources = 131_072
const sourceLists = 8192

/** What is idle for longer is looked for once a second, the default. */
const shortestExpiryMs = 1000

/**
 * Matches what exceeds a rate, in the text that `iptables-save` prints (1.8, both backends).
 *
 * A source is forgotten when its bucket would be full again, which makes no difference to it; so the memory that
 * a flood from invented addresses takes is given back after burst / rate. While `mostSources` are known the
 * kernel drops the packets of every other one, whatever the target, without counting them in a rule, and says
 * "xt_hashlimit: max count of ... reached" in its log: the limit stays closed, at the price of new sources.
 *
 * Buckets belong to their name: rules and chains, of both backends, that have the same one share them, with the
 * numbers of whichever came first, and they last as long as one such rule is left. So the name is made of the
 * numbers too, and a limit that changes begins anew instead of keeping its old rate in silence.
 *
 * @param name says which rule it is; rules of the same name and limit share their buckets
 */
export function rateLimitMatch(limit: RateLimit, name: string, family: Family): string {
  const { rate, unit } = savedRate(limit)
  const prefix = sourcePrefix(limit.scope, family)
  const expiryMs = Math.max(shortestExpiryMs, Math.ceil((periodOf({ rate, unit }) * limit.burst) / 1000))
  const [size, max] = prefix === undefined ? [1, 1] : [sourceLists, mostSources]
  const above = [
    `-m hashlimit --hashlimit-above ${rate}/${shortUnits[unit]} --hashlimit-burst ${limit.burst}`,
    prefix === undefined ? '' : ' --hashlimit-mode srcip',
  ].join('')
  const table = [
    ` --hashlimit-htable-size ${size} --hashlimit-htable-max ${max}`,
    expiryMs === unitMs(unit) ? '' : ` --hashlimit-htable-expire ${expiryMs}`,
    prefix === undefined || prefix === hostPrefix[family] ? '' : ` --hashlimit-srcmask ${prefix}`,
  ].join('')
  return `${above} --hashlimit-name ${bucketName(name, above + table)}${table}`
}

/**
 * Matches new connections of a source, or of all, that has `max` already, in the text that `iptables-save` prints.
 * What counts is what this rule has seen and conntrack has not closed. The count is the rule's own: nft forgets it
 * when the chain is rewritten, legacy whenever anybody changes anything in the table; from then on as many
 * connections can be opened again beside those that stand.
 */
export function connectionLimitMatch({ max, scope }: ConnectionLimit, family: Family): string {
  const prefix = sourcePrefix(scope, family) ?? 0
  return `-m connlimit --connlimit-above ${max} --connlimit-mask ${prefix} --connlimit-saddr`
}

const shortUnits = { second: 'sec', minute: 'min', hour: 'hour', day: 'day' } as const
const hostPrefix = { ipv4: 32, ipv6: 128 } as const

function sourcePrefix(scope: LimitScope, family: Family): number | undefined {
  if (scope.per === 'rule') return undefined
  return family === 'ipv4' ? scope.ipv4Prefix : scope.ipv6Prefix
}

/** It becomes the name of a file in /proc/net/ipt_hashlimit; a space in it would not be quoted when saved. */
function bucketName(name: string, numbers: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([name, numbers]))
    .digest('hex')
  return `node-firewall.${name.replaceAll(/[^A-Za-z0-9_-]+/g, '.').slice(0, 60)}.${hash.slice(0, 8)}`
}
