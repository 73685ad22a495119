import { expect, test } from 'vitest'
import { connectionLimitMatch, rateLimitMatch } from '../../agent/netfilter/limit-text.ts'
import type { RateLimit } from '../../agent/ruleset/ruleset.ts'

const perRule = { per: 'rule' } as const
const perSource = { per: 'source', ipv4Prefix: 32, ipv6Prefix: 64 } as const
const limit: RateLimit = { rate: 200, unit: 'second', burst: 400, scope: perSource }

/** The match with the hash at the end of its name left out. */
function withoutHash(match: string): string {
  return match.replace(/(--hashlimit-name \S+)\.[0-9a-f]{8}\b/, '$1')
}

test.each([
  [
    'per source, ipv4: the mask of a single address is not printed',
    rateLimitMatch(limit, 'web/node ports', 'ipv4'),
    '-m hashlimit --hashlimit-above 200/sec --hashlimit-burst 400 --hashlimit-mode srcip --hashlimit-name node-firewall.web.node.ports --hashlimit-htable-size 8192 --hashlimit-htable-max 131072 --hashlimit-htable-expire 2000',
  ],
  [
    'per source, ipv6: networks',
    rateLimitMatch(limit, 'web/node ports', 'ipv6'),
    '-m hashlimit --hashlimit-above 200/sec --hashlimit-burst 400 --hashlimit-mode srcip --hashlimit-name node-firewall.web.node.ports --hashlimit-htable-size 8192 --hashlimit-htable-max 131072 --hashlimit-htable-expire 2000 --hashlimit-srcmask 64',
  ],
  [
    'per rule: one bucket, no mode',
    rateLimitMatch({ ...limit, scope: perRule }, 'x', 'ipv4'),
    '-m hashlimit --hashlimit-above 200/sec --hashlimit-burst 400 --hashlimit-name node-firewall.x --hashlimit-htable-size 1 --hashlimit-htable-max 1 --hashlimit-htable-expire 2000',
  ],
  [
    'another unit is printed, and an expiry that is the default of that unit is not',
    rateLimitMatch({ rate: 60, unit: 'minute', burst: 1, scope: perRule }, 'x', 'ipv4'),
    '-m hashlimit --hashlimit-above 1/sec --hashlimit-burst 1 --hashlimit-name node-firewall.x --hashlimit-htable-size 1 --hashlimit-htable-max 1',
  ],
  [
    'connections per source, ipv4',
    connectionLimitMatch({ max: 100, scope: perSource }, 'ipv4'),
    '-m connlimit --connlimit-above 100 --connlimit-mask 32 --connlimit-saddr',
  ],
  [
    'connections per source, ipv6',
    connectionLimitMatch({ max: 100, scope: perSource }, 'ipv6'),
    '-m connlimit --connlimit-above 100 --connlimit-mask 64 --connlimit-saddr',
  ],
  [
    'connections per rule',
    connectionLimitMatch({ max: 1, scope: perRule }, 'ipv6'),
    '-m connlimit --connlimit-above 1 --connlimit-mask 0 --connlimit-saddr',
  ],
])('%s', (_, match, expected) => {
  expect(withoutHash(match)).toBe(expected)
})

test('buckets are those of the rule and its numbers, and of nothing else', () => {
  const nameOf = (changed: Partial<RateLimit>, name = 'web/a b') =>
    / --hashlimit-name (\S+)/.exec(rateLimitMatch({ ...limit, ...changed }, name, 'ipv4'))?.[1]
  const names = [
    nameOf({}),
    nameOf({ rate: 201 }),
    nameOf({ burst: 401 }),
    nameOf({ unit: 'minute' }),
    nameOf({ scope: perRule }),
    nameOf({ scope: { ...perSource, ipv4Prefix: 24 } }),
    nameOf({}, 'web/a.b'),
    nameOf({}, 'web/b'),
  ]
  expect(new Set(names).size).toBe(names.length)
  expect(nameOf({})).toBe(names[0])
  expect(nameOf({}, `${'r'.repeat(63)}/${'n'.repeat(63)}`)?.length).toBeLessThan(100)
})
