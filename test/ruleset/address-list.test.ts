import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'
import { formatCidr, parseCidr } from '../../agent/ruleset/address.ts'
import type { Cidr } from '../../agent/ruleset/address.ts'
import { parseAddressList } from '../../agent/ruleset/address-list.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'
import { readCidr } from '../../agent/ruleset/read-cidr.ts'
import { cidrs } from './arbitrary-cidr.ts'

function parse(text: string) {
  const { cidrs: list, problems } = parseAddressList('list.txt', text)
  return { list: list.map(formatCidr), problems: problems.map(formatProblem) }
}

describe('a list in the form of', () => {
  test.each<[string, string, string[]]>([
    ['nothing', '', []],
    ['only comments', '# a\n; b\n\n', []],
    ['plain entries', '192.0.2.1\n2001:db8::/32\n', ['192.0.2.1/32', '2001:db8::/32']],
    ['no newline at the end', '192.0.2.1\n192.0.2.2', ['192.0.2.1/32', '192.0.2.2/32']],
    ['DOS lines', '192.0.2.1\r\n\r\n# a\r\n192.0.2.2\r\n', ['192.0.2.1/32', '192.0.2.2/32']],
    ['space around', '  192.0.2.1\t\n\t192.0.2.2  ', ['192.0.2.1/32', '192.0.2.2/32']],
    [
      'a comment after an entry',
      '192.0.2.1 # a\n192.0.2.2;b\n192.0.2.3#c',
      [1, 2, 3].map((n) => `192.0.2.${n}/32`),
    ],
    [
      'Spamhaus DROP',
      '; Spamhaus DROP List\n; Expires: today\n1.10.16.0/20 ; SBL256894\n2.56.192.0/22 ; SBL459831\n',
      ['1.10.16.0/20', '2.56.192.0/22'],
    ],
    ['a FireHOL netset', '#\n# firehol_level1\n#\n0.0.0.0/8\n1.10.16.0/20\n', ['0.0.0.0/8', '1.10.16.0/20']],
    [
      'Spamhaus JSON lines',
      '{"cidr":"1.10.16.0/20","sblid":"SBL256894","rir":"apnic"}\r\n' +
        '{"cidr":"2001:DB8::/32","sblid":"SBL1","rir":"ripencc"}\n' +
        '{"type":"metadata","timestamp":1700000000,"size":2,"records":2,"copyright":"(c) a; b # c"}\n',
      ['1.10.16.0/20', '2001:db8::/32'],
    ],
    ['duplicates, out of order', '192.0.2.2\n192.0.2.1\n192.0.2.2', [2, 1, 2].map((n) => `192.0.2.${n}/32`)],
    ['everything', '0.0.0.0/0\n::/0', ['0.0.0.0/0', '::/0']],
  ])('%s is read', (_, text, list) => {
    expect(parse(text)).toEqual({ list, problems: [] })
  })
})

describe('an entry is refused for', () => {
  test.each([
    [
      'host bits',
      '# a\n  10.1.2.3/8 # b',
      '2:3',
      'found "10.1.2.3/8", expected an address or a CIDR: host bits are',
    ],
    ['leading zeros', '010.0.0.1', '1:1', 'leading zeros'],
    ['a zone', 'fe80::1%lo', '1:1', 'an IPv6 zone'],
    ['a mapped address', '::ffff:192.0.2.1', '1:1', 'IPv4-mapped'],
    ['a name', 'example.com', '1:1', 'found "example.com", expected an address or a CIDR: not an IPv4'],
    ['a range', '192.0.2.1-192.0.2.9', '1:1', 'expected CIDRs instead of an address range'],
    ['a range with spaces', '192.0.2.1 - 192.0.2.9', '1:1', 'expected CIDRs instead of an address range'],
    ['two on a line', '192.0.2.1 192.0.2.2', '1:1', 'expected one address or CIDR a line'],
    ['a separator', '192.0.2.1,\n', '1:1', 'expected one address or CIDR a line'],
    ['half a JSON object', '{"cidr":"192.', '1:1', 'expected one whole JSON object on the line'],
    ['JSON without cidr', '\n {"ip":"192.0.2.1"}', '2:2', 'found cidr: nothing, expected'],
    ['JSON with another cidr', '{"cidr":7}', '1:1', 'found cidr: 7, expected'],
    ['JSON with a bad cidr', '{"rir":"a","cidr":"10.1.2.3/8"}', '1:20', 'found "10.1.2.3/8", expected'],
  ])('%s', (_, text, position, complaint) => {
    const { list, problems } = parse(text)
    expect(list).toEqual([])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(new RegExp(`^list\\.txt:${position}: `))
    expect(problems[0]).toContain(complaint)
  })
})

describe('the number of problems', () => {
  const lines = (bad: number) => `${'192.0.2.1\n'.repeat(3)}${'bad\n'.repeat(bad)}`
  test('up to 20 stand alone', () => {
    const { list, problems } = parse(lines(20))
    expect(list).toHaveLength(3)
    expect(problems).toHaveLength(20)
    expect(problems.join('\n')).not.toContain('more')
  })
  test('beyond, the last tells how many there are', () => {
    const { problems } = parse(lines(1_020))
    expect(problems).toHaveLength(20)
    expect(parse(`${lines(1_020)}::1\n`).list).toContain('::1/128')
    expect(problems[19]).toMatch(/^list\.txt:23:1: .* \(and 1000 more entries that cannot be read\)$/)
  })
})

describe('readCidr', () => {
  const slow = (text: string): Cidr | undefined => {
    try {
      return parseCidr(text)
    } catch {
      return undefined
    }
  }

  test('takes nothing that parseCidr refuses, and reads the same', () => {
    const mutated = fc
      .tuple(
        spelled,
        fc.nat(),
        fc.nat(3),
        fc.constantFrom('', '0', ':', '::', '.', '/', '%', 'f', '1', '-', ' ', 'É'),
      )
      .map(([text, at, drop, put]) => {
        const place = at % (text.length + 1)
        return text.slice(0, place) + put + text.slice(place + drop)
      })
    fc.assert(
      fc.property(fc.oneof(spelled, mutated, mutated, fc.string()), (text) => {
        const expected = slow(text)
        expect(readCidr(text) ?? expected).toEqual(expected)
      }),
      { numRuns: 20_000 },
    )
  })

  test('leaves to parseCidr only IPv4 addresses within IPv6', () => {
    fc.assert(
      fc.property(spelled, (text) => {
        const expected = slow(text)
        const isLeft = expected?.family === 'ipv6' && /^::[^:]*(:[^:]*)?$/.test(expected.address)
        expect(isLeft ? expected : readCidr(text)).toEqual(expected)
      }),
      { numRuns: 5_000 },
    )
  })

  test.each([
    '::',
    '::/0',
    '1::',
    '::1',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    '1:2:3:4:5:6:1.2.3.4',
    '::1.2.3.4',
    '::1:2',
  ])('reads %s, or leaves it', (text) => {
    expect(readCidr(text) ?? parseCidr(text)).toEqual(parseCidr(text))
  })

  test.each([
    '1:2:3:4:5:6:7::8',
    '1::2::3',
    ':::',
    '1:',
    ':1',
    '12345::',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::1.2.3',
    '/8',
    '',
  ])('does not take %j', (text) => {
    expect(slow(text)).toBeUndefined()
    expect(readCidr(text)).toBeUndefined()
  })

  test('reads a part of a text', () => {
    expect(readCidr('x192.0.2.0/24y', 1, 13)).toEqual(parseCidr('192.0.2.0/24'))
  })
})

/** Networks as people spell them: short, in full, in capitals, with dots. */
const spelled = fc.oneof(
  cidrs('ipv4').map(formatCidr),
  cidrs('ipv4', 32).map(({ address }) => address),
  fc.tuple(cidrs('ipv6'), fc.nat(4)).map(([cidr, style]) => {
    const address = ipaddr.IPv6.parse(/\./.test(cidr.address) ? '::7' : cidr.address)
    const prefix = /\./.test(cidr.address) ? 128 : cidr.prefix
    const groups = address.parts.map((part) => part.toString(16))
    const dotted = [...groups.slice(0, 6), address.toByteArray().slice(12).join('.')].join(':')
    const full = groups.map((group) => group.padStart(4, '0')).join(':')
    const short = address.toRFC5952String()
    const form = [short, address.toNormalizedString(), full, dotted, short.toUpperCase()][style] ?? ''
    return `${form}/${prefix}`
  }),
)
