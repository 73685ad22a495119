import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { icmpMatch } from '../../agent/netfilter/icmp-text.ts'
import { connectionLimitMatch, rateLimitMatch } from '../../agent/netfilter/limit-text.ts'
import { logMatchAndTarget } from '../../agent/netfilter/log-text.ts'
import { program } from '../../agent/netfilter/tables.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { parseIcmpType } from '../../agent/ruleset/icmp-types.ts'
import { burstBounds, nearestRates, parseRate, savedRate } from '../../agent/ruleset/rate.ts'
import type { LimitScope, RateLimit } from '../../agent/ruleset/ruleset.ts'
import { anyRate } from '../ruleset/arbitrary-rates.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

const backends = await usableBackends()
let host: Host

beforeAll(async () => {
  host = await startHost()
})
afterAll(async () => host.close())

/** Restores rules and returns what is saved. */
async function restoreAndSave(backend: Backend, family: Family, rules: readonly string[]): Promise<string[]> {
  const text = ['*filter', ':test - [0:0]', ...rules.map((rule) => `-A test ${rule}`), 'COMMIT', '']
  await host.exec(program(backend, family, 'restore'), ['--noflush', '--wait=10'], { input: text.join('\n') })
  const { stdout } = await host.exec(program(backend, family, 'save'), ['-t', 'filter'])
  return stdout.split('\n').flatMap((line) => (line.startsWith('-A test ') ? [line.slice(8)] : []))
}

describe.each(backends)('on iptables-%s', (backend) => {
  describe.each(families)('%s', (family) => {
    const icmp = family === 'ipv4' ? '-p icmp' : '-p ipv6-icmp'

    test('limits and logs are saved as they are restored', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(ruleOf(family), { minLength: 20, maxLength: 40 }), async (rules) => {
          expect(await restoreAndSave(backend, family, rules)).toEqual(rules)
        }),
        { numRuns: 25 },
      )
    })

    test('every ICMP type is saved as it is restored', async () => {
      const codes = [undefined, 0, 1, 4, 255]
      const types = Array.from({ length: 255 }, (_, type) => codes.map((code) => ({ type, code }))).flat()
      const rules = types.map(
        ({ type, code }) =>
          `${icmp} ${icmpMatch(code === undefined ? { type } : { type, code }, family)} -j RETURN`,
      )
      expect(await restoreAndSave(backend, family, rules)).toEqual(rules)
    })

    test('ICMP names mean what they mean to iptables', async () => {
      const [command, protocol, flag] =
        family === 'ipv4'
          ? (['iptables', 'icmp', '-m icmp --icmp-type'] as const)
          : (['ip6tables', 'icmpv6', '-m icmp6 --icmpv6-type'] as const)
      const { stdout: help } = await host.exec(`${command}-${backend}`, ['-p', protocol, '-h'])
      const names = (/^Valid ICMP.*?:\n([^]*)/m.exec(help)?.[1] ?? '').match(/[A-Za-z][A-Za-z-]+/g) ?? []
      const types = names.filter((name) => name !== 'any')
      expect(types).toContain('echo-request')
      const saved = await restoreAndSave(
        backend,
        family,
        types.map((name) => `${icmp} ${flag} ${name}`),
      )
      expect(saved).toEqual(types.map((name) => `${icmp} ${icmpMatch(parseIcmpType(name, family), family)}`))
    })

    test('rates that cannot be held come back as foretold', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(anyRate, { minLength: 40, maxLength: 40 }), async (rates) => {
          const rules = rates.map(
            ({ rate, unit }) =>
              `-m hashlimit --hashlimit-above ${rate}/${unit} --hashlimit-burst 1 --hashlimit-name n`,
          )
          const saved = await restoreAndSave(backend, family, rules)
          const short = { second: 'sec', minute: 'min', hour: 'hour', day: 'day' } as const
          expect(saved.map((rule) => rule.split(' ')[3])).toEqual(
            rates.map((rate) => `${savedRate(rate).rate}/${short[savedRate(rate).unit]}`),
          )
        }),
        { numRuns: 10 },
      )
    })

    test('the largest burst of every rate is taken', async () => {
      const rates = ['2/day', '1/hour', '7/hour', '1/minute', '1/second', '1000000/second'].map(parseRate)
      const rules = rates.map(
        (rate) =>
          `${rateLimitMatch({ ...rate, burst: burstBounds(rate).most, scope: { per: 'rule' } }, 'x', family)} -j DROP`,
      )
      expect(await restoreAndSave(backend, family, rules)).toEqual(rules)
    })
  })
})

const scope: fc.Arbitrary<LimitScope> = fc.oneof(
  fc.constant({ per: 'rule' } as const),
  fc.record({
    per: fc.constant('source' as const),
    ipv4Prefix: fc.oneof(fc.constant(32), fc.integer({ min: 0, max: 32 })),
    ipv6Prefix: fc.oneof(fc.constant(64), fc.integer({ min: 0, max: 128 })),
  }),
)

const rateLimit: fc.Arbitrary<RateLimit> = anyRate
  .map((rate) => parseRate(nearestRates(rate).above))
  .chain((rate) => {
    const { least, most } = burstBounds(rate)
    return fc.record({
      rate: fc.constant(rate.rate),
      unit: fc.constant(rate.unit),
      burst: fc.integer({ min: least, max: most }),
      scope,
    })
  })

const rulesetName = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
const ruleName = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/)
const verdict = fc.constantFrom('accept', 'drop', 'reject', 'audit', 'limit')

/** Rules as they are compiled: what must hold first, then the comment, then the log. */
function ruleOf(family: Family): fc.Arbitrary<string> {
  const before = fc.constantFrom(
    '',
    '-p tcp -m tcp --dport 22 ',
    '-p udp -m multiport --dports 1,2:3 -m conntrack --ctstate NEW ',
  )
  const rate = fc
    .tuple(rateLimit, rulesetName, ruleName)
    .map(
      ([limit, ruleset, rule]) =>
        `${rateLimitMatch(limit, `${ruleset}/${rule}`, family)} -m comment --comment "a b" -j DROP`,
    )
  const connections = fc
    .record({ max: fc.integer({ min: 0, max: 4_294_967_295 }), scope })
    .map((limit) => `${connectionLimitMatch(limit, family)} -m comment --comment "a b" -j DROP`)
  const log = fc
    .record({
      target: fc.constantFrom('kernel' as const, 'nflog' as const),
      verdict,
      ruleset: fc.option(rulesetName, { nil: undefined }),
      rule: ruleName,
    })
    .map(({ target, ...name }) => `-m comment --comment "a b" ${logMatchAndTarget(target, name)}`)
  return fc.tuple(before, fc.oneof(rate, connections, log)).map(([first, rest]) => first + rest)
}
