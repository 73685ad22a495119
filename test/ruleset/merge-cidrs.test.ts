import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { families, formatCidr, parseCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import { cidrs, rangeOf } from './arbitrary-cidr.ts'

describe('mergeCidrs', () => {
  test.each<[string, string[], string[]]>([
    ['nothing', [], []],
    [
      'sorts by number',
      ['10.0.0.0/8', '9.0.0.0/8', '192.0.2.1'],
      ['9.0.0.0/8', '10.0.0.0/8', '192.0.2.1/32'],
    ],
    ['removes duplicates', ['192.0.2.1', '192.0.2.1/32'], ['192.0.2.1/32']],
    ['removes what is within another', ['10.1.0.0/16', '10.0.0.0/8', '10.0.0.0/9'], ['10.0.0.0/8']],
    ['joins halves', ['192.0.2.1', '192.0.2.0'], ['192.0.2.0/31']],
    ['leaves neighbours of different parents', ['192.0.2.1', '192.0.2.2'], ['192.0.2.1/32', '192.0.2.2/32']],
    [
      'joins what became whole',
      ['10.0.0.0/10', '10.64.0.0/10', '10.128.0.0/9', '11.0.0.0/8'],
      ['10.0.0.0/7'],
    ],
    ['joins two halves of all', ['128.0.0.0/1', '0.0.0.0/1'], ['0.0.0.0/0']],
    ['keeps the families apart', ['::/1', '0.0.0.0/1', '8000::/1'], ['0.0.0.0/1', '::/0']],
    ['reads addresses with dots', ['::1.2.3.4', '::1.2.3.5'], ['::1.2.3.4/127']],
  ])('%s', (_, given, merged) => {
    expect(mergeCidrs(given.map(parseCidr)).map(formatCidr)).toEqual(merged)
  })

  test.each(families)(
    'whatever the list, the same addresses are in it and no network is too much, %s',
    (family) => {
      fc.assert(
        fc.property(fc.array(cidrs(family), { maxLength: 40 }), (list) => {
          const merged = mergeCidrs(list)
          for (const address of edgesOf([...list, ...merged])) {
            expect(holds(merged, address)).toBe(holds(list, address))
          }
          expectMinimal(merged)
          expect(mergeCidrs(merged)).toEqual(merged)
          expect(merged.map((cidr) => parseCidr(formatCidr(cidr)))).toEqual(merged)
        }),
        { numRuns: 500 },
      )
    },
  )

  test('a list of both families is each family by itself', () => {
    const both = fc.array(fc.oneof(cidrs('ipv4'), cidrs('ipv6')), { maxLength: 30 })
    fc.assert(
      fc.property(both, (list) => {
        const each = families.flatMap((family) => mergeCidrs(list.filter((cidr) => cidr.family === family)))
        expect(mergeCidrs(list)).toEqual(each)
      }),
    )
  })
})

/** The addresses at which membership can change. */
function edgesOf(list: readonly Cidr[]): bigint[] {
  return list.map(rangeOf).flatMap(({ first, last }) => [first - 1n, first, last, last + 1n])
}

function holds(list: readonly Cidr[], address: bigint): boolean {
  return list.map(rangeOf).some(({ first, last }) => first <= address && address <= last)
}

/** Each ends before the next begins, and no two are the halves of one network. */
function expectMinimal(list: readonly Cidr[]): void {
  const ranges = list.map(rangeOf)
  for (const [index, { first, last }] of ranges.entries()) {
    const next = ranges[index + 1]
    if (next === undefined) continue
    expect(next.first > last).toBe(true)
    const size = last - first + 1n
    const areHalves =
      next.last - next.first + 1n === size && next.first === last + 1n && first % (2n * size) === 0n
    expect(areHalves).toBe(false)
  }
}
