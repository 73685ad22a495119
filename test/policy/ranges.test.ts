import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers, holds, rangesOf, toAddress, toNumber } from '../../agent/policy/ranges.ts'
import { covers as coversCidr, parseCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'

/** Networks of a few bits each, so that they overlap and touch. */
const cidr: fc.Arbitrary<Cidr> = fc
  .record({ prefix: fc.integer({ min: 24, max: 32 }), host: fc.integer({ min: 0, max: 255 }) })
  .map(({ prefix, host }) => {
    const size = 2 ** (32 - prefix)
    return parseCidr(`192.0.2.${Math.floor(host / size) * size}/${prefix}`)
  })
const networks = fc.array(cidr, { maxLength: 6 })
const everyAddress = Array.from({ length: 256 }, (_, host) => `192.0.2.${host}`)

test.each<['ipv4' | 'ipv6', bigint]>([
  ['ipv4', 2n ** 32n],
  ['ipv6', 2n ** 128n],
])('an address is a number and back: %s', (family, end) => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: end - 1n }), (number) => {
      expect(toNumber(toAddress(number, family))).toBe(number)
    }),
  )
})

test('ranges hold what any of the networks holds, and are apart', () => {
  fc.assert(
    fc.property(networks, (cidrs) => {
      const ranges = rangesOf(cidrs, 'ipv4')
      const wrong = everyAddress.filter(
        (address) =>
          holds(ranges, toNumber(address)) !== cidrs.some((one) => coversCidr(one, parseCidr(address))),
      )
      expect(wrong).toEqual([])
      const gaps = ranges.slice(1).map(({ first }, index) => first - (ranges[index]?.last ?? first))
      expect(gaps.every((gap) => gap > 1n)).toBe(true)
    }),
  )
})

test('networks cover others when they hold every address of them', () => {
  fc.assert(
    fc.property(networks, networks, (outer, inner) => {
      const [outerRanges, innerRanges] = [rangesOf(outer, 'ipv4'), rangesOf(inner, 'ipv4')]
      const own = everyAddress.map(toNumber).filter((address) => holds(innerRanges, address))
      expect(covers(outerRanges, innerRanges)).toBe(own.every((address) => holds(outerRanges, address)))
    }),
  )
})

test('the other family is left out', () => {
  expect(rangesOf([parseCidr('2001:db8::/32')], 'ipv4')).toEqual([])
})
