import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { parseIcmpType } from '../../agent/ruleset/icmp-types.ts'

describe('parseIcmpType', () => {
  test.each([
    ['echo-request', { type: 8 }, { type: 128 }],
    ['echo-reply', { type: 0 }, { type: 129 }],
    ['destination-unreachable', { type: 3 }, { type: 1 }],
    ['time-exceeded', { type: 11 }, { type: 3 }],
    ['port-unreachable', { type: 3, code: 3 }, { type: 1, code: 4 }],
    ['3/4', { type: 3, code: 4 }, { type: 3, code: 4 }],
    ['0/0', { type: 0, code: 0 }, { type: 0, code: 0 }],
    ['254/255', { type: 254, code: 255 }, { type: 254, code: 255 }],
    ['8', { type: 8 }, { type: 8 }],
    [8, { type: 8 }, { type: 8 }],
    [0, { type: 0 }, { type: 0 }],
  ])('reads %j', (written, ipv4, ipv6) => {
    expect([parseIcmpType(written, 'ipv4'), parseIcmpType(written, 'ipv6')]).toEqual([ipv4, ipv6])
  })

  test.each([
    ['fragmentation-needed', 'ipv4', { type: 3, code: 4 }],
    ['packet-too-big', 'ipv6', { type: 2 }],
    ['neighbor-solicitation', 'ipv6', { type: 135 }],
    ['mld2-listener-report', 'ipv6', { type: 143 }],
  ] as const)('reads %s of %s', (name, family, expected) => {
    expect(parseIcmpType(name, family)).toEqual(expected)
  })

  test.each([
    ['echo-requst', 'ipv4', 'found "echo-requst", expected "echo-request"'],
    ['Echo-Request', 'ipv6', 'found "Echo-Request", expected "echo-request"'],
    ['packet-too-big', 'ipv4', 'found "packet-too-big" for icmp, expected it with protocol icmpv6'],
    [
      'fragmentation-needed',
      'ipv6',
      'found "fragmentation-needed" for icmpv6, expected it with protocol icmp',
    ],
    ['nonsense', 'ipv4', 'found "nonsense", expected a number from 0 to 254, "type/code", or a name'],
    ['any', 'ipv4', 'leave the key out'],
    ['', 'ipv4', 'found "", expected a number'],
    ['255', 'ipv4', 'found "255", expected a type from 0 to 254'],
    [256, 'ipv6', 'found 256, expected a type from 0 to 254'],
    ['3/256', 'ipv4', 'found "3/256", expected a code from 0 to 255'],
    ['03', 'ipv4', 'found "03", expected'],
    ['3/', 'ipv4', 'found "3/", expected'],
    ['3/04', 'ipv4', 'found "3/04", expected'],
    ['3/4/5', 'ipv4', 'found "3/4/5", expected'],
    [-1, 'ipv4', 'found -1, expected'],
    [1.5, 'ipv4', 'found 1.5, expected'],
    [1e21, 'ipv4', 'found 1e+21, expected'],
  ] as const)('refuses %j of %s', (written, family, complaint) => {
    expect(() => parseIcmpType(written, family)).toThrow(complaint)
  })

  test('numbers are read as they are written', () => {
    const type = fc.integer({ min: 0, max: 254 })
    const code = fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined })
    fc.assert(
      fc.property(type, code, fc.constantFrom(...families), (number, detail, family) => {
        const written = detail === undefined ? number : `${number}/${detail}`
        expect(parseIcmpType(written, family)).toEqual({
          type: number,
          ...(detail === undefined ? {} : { code: detail }),
        })
      }),
    )
  })

  test('whatever is written, it is read or refused with what was found', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double()), fc.constantFrom(...families), (written, family) => {
        const result = attempt(() => parseIcmpType(written, family))
        expect(typeof result === 'string' ? result : `found a type ${result.type}`).toMatch(/^found /)
      }),
    )
  })
})

function attempt<T>(action: () => T): T | string {
  try {
    return action()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
