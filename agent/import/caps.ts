import type { Family } from '../ruleset/address.ts'
import type { Cap, ConnectionsDocument, LimitDocument } from './source.ts'

const units: Readonly<Record<string, string>> = { s: 'second', m: 'minute', h: 'hour', d: 'day' }

/**
 * What the options of limit, hashlimit, connlimit and recent count to; `undefined` when there are none of them.
 * An error is what the ruleset language has no words for.
 */
export function readCap(numbers: ReadonlyMap<string, string>, family: Family): Cap | string | undefined {
  if (numbers.size === 0) return undefined
  const limit = numbers.get('--limit')
  const upto = numbers.get('--hashlimit-upto')
  const above = numbers.get('--hashlimit-above')
  if (limit !== undefined) return withRate('within', limit, numbers.get('--limit-burst'), { per: 'rule' })
  if (upto !== undefined || above !== undefined) {
    const scope = hashScope(numbers, family)
    if (typeof scope === 'string') return scope
    return withRate(
      upto === undefined ? 'beyond' : 'within',
      upto ?? above ?? '',
      numbers.get('--hashlimit-burst'),
      scope,
    )
  }
  return readConnections(numbers, family) ?? readRecent(numbers) ?? 'options that count'
}

type Scope = Pick<LimitDocument, 'per' | 'ipv4Prefix' | 'ipv6Prefix'>

function withRate(side: Cap['side'], text: string, burst: string | undefined, scope: Scope): Cap | string {
  const [, number, unit = 's'] = /^(\d+)(?:\/([smhd])[a-z]*)?$/.exec(text) ?? []
  if (number === undefined) return 'a rate of bytes'
  const limit = { rate: `${number}/${units[unit]}`, burst: Number(burst ?? 5), ...scope }
  return { side, limits: { limit } }
}

function hashScope(numbers: ReadonlyMap<string, string>, family: Family): Scope | string {
  const mode = numbers.get('--hashlimit-mode') ?? ''
  if (mode !== '' && mode !== 'srcip') return `a count for each ${mode}`
  if (mode === '') return { per: 'rule' }
  return scopeOf(numbers.get('--hashlimit-srcmask'), family)
}

function scopeOf(mask: string | undefined, family: Family): Scope {
  const full = family === 'ipv4' ? '32' : '128'
  if (mask === '0') return { per: 'rule' }
  if (mask === undefined || mask === full) return { per: 'source' }
  return { per: 'source', [family === 'ipv4' ? 'ipv4Prefix' : 'ipv6Prefix']: Number(mask) }
}

function readConnections(numbers: ReadonlyMap<string, string>, family: Family): Cap | string | undefined {
  const above = numbers.get('--connlimit-above')
  const upto = numbers.get('--connlimit-upto')
  if (above === undefined && upto === undefined) return undefined
  if (numbers.has('--connlimit-daddr')) return 'a count for each destination'
  const connections: ConnectionsDocument = {
    max: Number(above ?? upto),
    ...scopeOf(numbers.get('--connlimit-mask'), family),
  }
  if (connections.max === 0) return 'a count of no connections at all'
  return { side: above === undefined ? 'within' : 'beyond', limits: { connections } }
}

/** So many hits within so many seconds: a bucket that holds as many and fills in the same time comes nearest. */
function readRecent(numbers: ReadonlyMap<string, string>): Cap | string | undefined {
  if (numbers.has('--set')) return { side: 'set', limits: {} }
  const hits = Number(numbers.get('--hitcount') ?? Number.NaN)
  const seconds = Number(numbers.get('--seconds') ?? Number.NaN)
  if (!(hits > 1 && seconds > 0)) return undefined
  const allowed = hits - 1
  const perMinute = Math.floor((allowed * 60) / seconds)
  const perHour = Math.floor((allowed * 3600) / seconds)
  const rate = perMinute > 0 ? `${perMinute}/minute` : perHour > 0 ? `${perHour}/hour` : undefined
  if (rate === undefined) return 'a count over more than an hour'
  const near = `${hits} hits in ${seconds} seconds become a bucket of ${allowed} that refills at ${rate}`
  return { side: 'beyond', limits: { limit: { rate, burst: allowed, per: 'source' } }, near }
}
