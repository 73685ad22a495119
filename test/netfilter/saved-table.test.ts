import { describe, expect, test } from 'vitest'
import { canonicalizeProtocol, parseProtocols } from '../../agent/netfilter/protocol-names.ts'
import { parseSavedTable } from '../../agent/netfilter/saved-table.ts'

const whole =
  '# Generated\n*filter\n:INPUT DROP [1:2]\n:a - [0:0]\n[3:4] -A INPUT -j a\n[0:0] -A a\nCOMMIT\n# Completed\n'

test('a whole table is read with policies, rules and counters', () => {
  expect([...parseSavedTable(whole, new Map())]).toEqual([
    ['INPUT', { policy: 'DROP', rules: [{ text: '-j a', counters: '[3:4]' }] }],
    ['a', { policy: '-', rules: [{ text: '', counters: '[0:0]' }] }],
  ])
})

describe('what is not one whole filter table is unknown', () => {
  test.each([
    ['nothing', '', 'found nothing'],
    ['another table', whole.replace('*filter', '*nat'), 'found "*nat"'],
    ['no end', whole.replace(/COMMIT[^]*/, ''), 'it ends before COMMIT'],
    ['half a line', whole.replace('-A INPUT -j a', '-A IN'), 'found "[3:4] -A IN"'],
    ['a rule of no chain', whole.replace(':a - [0:0]\n', ''), 'found "[0:0] -A a"'],
    ['two tables', whole + whole, 'reading the filter table'],
    ['no counters', whole.replace('[3:4] ', ''), 'found "-A INPUT -j a"'],
    ['a table it cannot print', "# Table `filter' is incompatible, use 'nft' tool.\n", 'is incompatible'],
    [
      'the same amid others',
      `${whole}# Table \`filter' is incompatible, use 'nft' tool.\n`,
      'is incompatible',
    ],
  ])('%s', (_, text, complaint) => {
    expect(() => parseSavedTable(text, new Map())).toThrow(complaint)
  })
})

describe('protocols are compared by number, whatever /etc/protocols calls them', () => {
  const protocols = parseProtocols('# names\nip 0 IP\nipencap 4 IP-ENCAP # comment\ngre\t47\tGRE\n\nbroken\n')
  test.each([
    ['-p tcp -j DROP', '-p tcp -j DROP'],
    ['-p ipencap -j DROP', '-p 4 -j DROP'],
    [
      '-s 10.0.0.0/8 -d 1.2.3.4/32 -i eth0 -p gre -j DROP',
      '-s 10.0.0.0/8 -d 1.2.3.4/32 -i eth0 -p 47 -j DROP',
    ],
    ['-p icmpv6 -m icmp6 --icmpv6-type 1 -j DROP', '-p ipv6-icmp -m icmp6 --icmpv6-type 1 -j DROP'],
    ['-p esp -j DROP', '-p 50 -j DROP'],
    ['-p 4 -j DROP', '-p 4 -j DROP'],
    ['-p unknown -j DROP', '-p unknown -j DROP'],
    ['! -p ipencap -j DROP', '! -p 4 -j DROP'],
    ['-m comment --comment "x -p gre" -j DROP', '-m comment --comment "x -p gre" -j DROP'],
  ])('%s', (saved, canonical) => {
    expect(canonicalizeProtocol(saved, protocols)).toBe(canonical)
  })
})
