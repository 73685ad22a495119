import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ServerEndpoint } from '../../agent/policy/policy.ts'
import { keepMs, mostServers, rememberServers } from '../../agent/policy/remember-servers.ts'
import type { KnownServer } from '../../agent/policy/remember-servers.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'

const hour = 3_600_000

function at(last: number, of: ServerEndpoint['of'] = 'kubelet', port = 443): ServerEndpoint {
  return { address: parseCidr(`192.0.2.${last}`), port, of }
}
const seen = (last: number, seenAt: number): KnownServer => ({ ...at(last), seenAt })
const textOf = (servers: readonly ServerEndpoint[]) =>
  servers.map(({ address, port, of }) => `${address.address} ${port} ${of}`)

test.each<[string, readonly KnownServer[], readonly ServerEndpoint[], number, readonly string[]]>([
  ['what is seen first', [], [at(2), at(1)], 0, ['192.0.2.1 443 kubelet', '192.0.2.2 443 kubelet']],
  ['what is not seen for a while', [seen(1, 0)], [], keepMs, ['192.0.2.1 443 kubelet']],
  ['what is not seen for too long', [seen(1, 0)], [], keepMs + 1, []],
  ['what is seen again', [seen(1, 0)], [at(1)], keepMs + 1, ['192.0.2.1 443 kubelet']],
  ['a clock that is set back', [seen(1, 9 * keepMs)], [], keepMs, ['192.0.2.1 443 kubelet']],
  [
    'two ports',
    [seen(1, 0)],
    [at(1, 'kubelet', 6443)],
    1,
    ['192.0.2.1 443 kubelet', '192.0.2.1 6443 kubelet'],
  ],
  ['both go there', [], [at(1), at(1, 'agent')], 0, ['192.0.2.1 443 kubelet']],
  ['both go there, the agent first', [], [at(1, 'agent'), at(1)], 0, ['192.0.2.1 443 kubelet']],
  ['the agent goes there too', [seen(1, 0)], [at(1, 'agent')], 1, ['192.0.2.1 443 kubelet']],
])('%s', (_, known, now, time, expected) => {
  expect(textOf(rememberServers(known, now, time))).toEqual(expected)
})

test('a clock that was set back does not make it last for ever', () => {
  const [server] = rememberServers([seen(1, 9 * keepMs)], [], 1)
  expect(server?.seenAt).toBe(1)
})

test('of too many those go that were not seen for longest, and none that was seen lately', () => {
  const known = Array.from({ length: mostServers }, (_, index) => seen(index, index < 2 ? index : 5 * hour))
  const after = rememberServers(known, [at(200), at(201), at(202)], 5 * hour + 1)
  const left = textOf(after)
  expect(after).toHaveLength(mostServers)
  expect(left).not.toContain('192.0.2.0 443 kubelet')
  expect(left).not.toContain('192.0.2.1 443 kubelet')
  // The third finds no place.
  const newcomers = [200, 201, 202].filter((last) => left.includes(`192.0.2.${last} 443 kubelet`))
  expect(newcomers).toHaveLength(2)
})

const endpoint = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.constantFrom('kubelet' as const, 'agent' as const))
  .map(([last, of]) => at(last, of))
const looks = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 20 * 60_000 }),
    found: fc.array(endpoint, { maxLength: 40 }),
  }),
  { minLength: 1, maxLength: 30 },
)

test('whatever names lead to, nothing goes that was seen within the hour, nor stays what was not for days', () => {
  fc.assert(
    fc.property(looks, (sequence) => {
      let now = 0
      let known: readonly KnownServer[] = []
      for (const { after, found } of sequence) {
        now += after
        const before = known
        known = rememberServers(before, found, now)
        const kept = new Set(known.map(({ address }) => address.address))
        expect(known.length).toBeLessThanOrEqual(mostServers)
        for (const { address, seenAt } of before) {
          if (now - seenAt <= hour) expect(kept).toContain(address.address)
        }
        expect(known.every(({ seenAt }) => now - seenAt <= keepMs)).toBe(true)
        // The same again changes nothing.
        expect(rememberServers(known, found, now)).toEqual(known)
      }
    }),
    { numRuns: 30 },
  )
})
