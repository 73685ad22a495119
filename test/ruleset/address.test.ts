import { describe, expect, test } from 'vitest'
import { formatCidr, parseCidr } from '../../agent/ruleset/address.ts'

describe('parseCidr', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1/32'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1/128'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7/128'],
    ['::', '::/128'],
    ['::/0', '::/0'],
    ['::1', '::1/128'],
    ['::1:2', '::0.1.0.2/128'],
    ['::192.0.2.1', '::192.0.2.1/128'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201/128'],
  ])('reads %s as %s', (text, canonical) => {
    expect(formatCidr(parseCidr(text))).toBe(canonical)
  })

  test.each([
    ['010.0.0.1', 'leading zeros'],
    ['10.0.0.1/08', 'prefix length'],
    ['10.0.0.0/33', 'from 0 to 32'],
    ['::/129', 'from 0 to 128'],
    ['10.0.0.0/', 'prefix length'],
    ['10.0.0.0/8/8', 'more than one'],
    ['10.0.0', 'not an IPv4 or IPv6 address'],
    ['10.0.0.256', 'not an IPv4 or IPv6 address'],
    ['0x0a.0.0.1', 'not an IPv4 or IPv6 address'],
    ['167772161', 'not an IPv4 or IPv6 address'],
    ['fe80::1%lo', 'zone'],
    ['::ffff:192.0.2.1', 'IPv4-mapped'],
    ['10.1.2.3/8', 'write 10.0.0.0/8, or 10.1.2.3'],
    ['2001:db8::1/32', 'write 2001:db8::/32'],
    [' 10.0.0.1', 'not an IPv4 or IPv6 address'],
    ['', 'not an IPv4 or IPv6 address'],
  ])('refuses %j: %s', (text, complaint) => {
    expect(() => parseCidr(text)).toThrow(complaint)
  })
})
