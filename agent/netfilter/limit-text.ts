import type { Family } from '../ruleset/address.ts'
import type { ConnectionLimit, RateLimit } from '../ruleset/ruleset.ts'
export function rateLimitMatch(_limit: RateLimit, _name: string, _family: Family): string {
  return ''
}
export function connectionLimitMatch(_limit: ConnectionLimit, _family: Family): string {
  return ''
}
