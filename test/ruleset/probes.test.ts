import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { formatEndpoint, parseEndpoint } from '../../agent/ruleset/endpoint.ts'
import { formatHttpUrl, parseHttpUrl } from '../../agent/ruleset/http-url.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'
import type { ProbeSpec } from '../../agent/ruleset/ruleset.ts'
import { endpoints, httpUrls, probeLists, toDocument } from './arbitrary-probes.ts'

const head = 'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: worker }\n'
const probes = (...texts: string[]) =>
  `${head}spec:\n  probes:\n${texts.map((text) => `    - ${text}\n`).join('')}`
const parse = (text: string) => parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(text) }])

test.each<[string, string, ProbeSpec]>([
  [
    'TCP',
    '{ name: a, tcp: 10.0.0.1:22 }',
    { name: 'a', timeoutMs: 2_000, kind: 'tcp', endpoint: { host: '10.0.0.1', port: 22 } },
  ],
  [
    'TCP and IPv6',
    '{ name: a, tcp: "[2001:DB8:0::1]:22", timeout: 500ms }',
    { name: 'a', timeoutMs: 500, kind: 'tcp', endpoint: { host: '2001:db8::1', port: 22 } },
  ],
  [
    'TCP and a name',
    '{ name: a, tcp: "db-1.example.com.:5432", timeout: 10s }',
    { name: 'a', timeoutMs: 10_000, kind: 'tcp', endpoint: { host: 'db-1.example.com', port: 5432 } },
  ],
  [
    'HTTPS',
    '{ name: a, http: https://example.com }',
    {
      name: 'a',
      timeoutMs: 2_000,
      kind: 'http',
      url: { isTls: true, host: 'example.com', port: 443, path: '/' },
      insecure: false,
    },
  ],
  [
    'HTTP with everything',
    '{ name: a, http: "https://[::1]:8443?a=b", expect: 401, insecure: true }',
    {
      name: 'a',
      timeoutMs: 2_000,
      kind: 'http',
      url: { isTls: true, host: '::1', port: 8443, path: '/?a=b' },
      expect: 401,
      insecure: true,
    },
  ],
  [
    'DNS',
    '{ name: a, dns: _sip._tcp.example.com }',
    { name: 'a', timeoutMs: 2_000, kind: 'dns', query: '_sip._tcp.example.com' },
  ],
  [
    'DNS from an IPv6 server',
    '{ name: a, dns: example.com., server: "2001:db8::53" }',
    {
      name: 'a',
      timeoutMs: 2_000,
      kind: 'dns',
      query: 'example.com',
      server: { host: '2001:db8::53', port: 53 },
    },
  ],
  [
    'DNS from another port',
    '{ name: a, dns: example.com, server: "10.96.0.10:5353" }',
    {
      name: 'a',
      timeoutMs: 2_000,
      kind: 'dns',
      query: 'example.com',
      server: { host: '10.96.0.10', port: 5353 },
    },
  ],
  [
    'ICMP',
    '{ name: a gateway, icmp: "2001:db8::1" }',
    { name: 'a gateway', timeoutMs: 2_000, kind: 'icmp', address: '2001:db8::1' },
  ],
])('a probe is read: %s', (_, text, expected) => {
  const { rulesets, problems } = parse(probes(text))
  expect(problems).toEqual([])
  expect(rulesets.map((ruleset) => ruleset.probes)).toEqual([[expected]])
})

describe('what is wrong with a probe is told', () => {
  test.each<[string, string[], string[]]>([
    ['no list', [], ['5:10: spec.probes: found an empty value, expected a list of probes']],
    [
      'no map',
      ['a'],
      ['6:7: probe 1: found "a", expected a probe: a map with name and tcp, http, dns or icmp'],
    ],
    ['no name', ['{ tcp: a:1 }'], ['6:7: probe 1: name: found nothing, expected a name']],
    [
      'a name with odd characters',
      ['{ name: a/b, tcp: a:1 }'],
      [
        '6:15: probe "a/b": name: found "a/b", expected at most 63 of the characters A-Z a-z 0-9 space . _ -, with a letter or digit at both ends',
      ],
    ],
    [
      'a second probe of a name',
      ['{ name: a, tcp: a:1 }', '{ name: a, tcp: a:2 }'],
      ['7:15: probe "a": name: found a second probe of this name, expected each name once'],
    ],
    [
      'no kind',
      ['{ name: a, timeout: 1s }'],
      ['6:7: probe "a": found none of tcp, http, dns, icmp, expected one of them'],
    ],
    [
      'two kinds',
      ['{ name: a, tcp: a:1, icmp: 10.0.0.1 }'],
      ['6:28: probe "a": icmp: found tcp and icmp in one probe, expected one of them'],
    ],
    [
      'a kind of another firewall',
      ['{ name: a, udp: a:1 }'],
      ['6:18: probe "a": udp: found the unknown key "udp", expected "tcp"'],
    ],
    [
      'several errors at once',
      ['{ name: a, tcp: a, timeout: 1h }'],
      [
        '6:23: probe "a": tcp: found "a", expected a port behind the host, such as "a:443"',
        '6:35: probe "a": timeout: found "1h", expected a time from 100ms to 10s, such as "2s" or "500ms"',
      ],
    ],
    [
      'IPv6 without brackets',
      ['{ name: a, tcp: "2001:db8::1:443" }'],
      [
        '6:23: probe "a": tcp: found "2001:db8::1:443", expected an IPv6 address in brackets, such as "[2001:db8::1]:443"',
      ],
    ],
    [
      'an IPv6 address that can only be meant with a port',
      ['{ name: a, tcp: "1:2:3:4:5:6:7:8:443" }'],
      [
        '6:23: probe "a": tcp: found "1:2:3:4:5:6:7:8:443", expected an IPv6 address in brackets, such as "[1:2:3:4:5:6:7:8]:443"',
      ],
    ],
    [
      'brackets around something else',
      ['{ name: a, tcp: "[10.0.0.1]:443" }'],
      ['6:23: probe "a": tcp: found "[10.0.0.1]:443", expected an IPv6 address between the brackets'],
    ],
    [
      'brackets around nonsense',
      ['{ name: a, tcp: "[::g]:443" }'],
      ['6:23: probe "a": tcp: found "[::g]:443": not an IPv4 or IPv6 address'],
    ],
    [
      'an IPv6 zone',
      ['{ name: a, icmp: "fe80::1%eth0" }'],
      ['6:24: probe "a": icmp: found "fe80::1%eth0", expected an address without a zone ("%...")'],
    ],
    [
      'port 0',
      ['{ name: a, tcp: example.com:0 }'],
      ['6:23: probe "a": tcp: found "example.com:0", expected a port from 1 to 65535'],
    ],
    [
      'a port out of range',
      ['{ name: a, tcp: "example.com:65536" }'],
      ['6:23: probe "a": tcp: found "example.com:65536", expected a port from 1 to 65535'],
    ],
    [
      'a port with leading zeros',
      ['{ name: a, tcp: "example.com:022" }'],
      ['6:23: probe "a": tcp: found "example.com:022", expected a port from 1 to 65535'],
    ],
    [
      'a port by name',
      ['{ name: a, tcp: "example.com:ssh" }'],
      ['6:23: probe "a": tcp: found "example.com:ssh", expected a port from 1 to 65535'],
    ],
    [
      'a port alone',
      ['{ name: a, tcp: 443 }'],
      ['6:23: probe "a": tcp: found 443, expected a host and port in quotes, such as "192.0.2.1:443"'],
    ],
    [
      'no host',
      ['{ name: a, tcp: ":443" }'],
      ['6:23: probe "a": tcp: found "", expected a domain name, such as "example.com"'],
    ],
    [
      'an octal address',
      ['{ name: a, tcp: "010.0.0.1:443" }'],
      [
        '6:23: probe "a": tcp: found "010.0.0.1:443": numbers with leading zeros are octal to some tools; write them without',
      ],
    ],
    [
      'a number too large in an address',
      ['{ name: a, tcp: "10.0.0.256:443" }'],
      ['6:23: probe "a": tcp: found "10.0.0.256:443": not an IPv4 or IPv6 address'],
    ],
    [
      'a network',
      ['{ name: a, icmp: 10.0.0.0/8 }'],
      ['6:24: probe "a": icmp: found "10.0.0.0/8", expected an address, not a network'],
    ],
    [
      'a name to ping',
      ['{ name: a, icmp: example.com }'],
      ['6:24: probe "a": icmp: found "example.com": not an IPv4 or IPv6 address'],
    ],
    [
      'a host name with a space',
      ['{ name: a, tcp: "exa mple.com:443" }'],
      ['6:23: probe "a": tcp: found "exa mple.com", expected a domain name, such as "example.com"'],
    ],
    [
      'a name that is not ASCII',
      ['{ name: a, dns: bücher.example }'],
      ['6:23: probe "a": dns: found "bücher.example", expected a domain name, such as "example.com"'],
    ],
    [
      'a name that DNS is never asked for',
      ['{ name: a, dns: example.onion }'],
      ['6:23: probe "a": dns: found "example.onion", expected a name that DNS is asked for (RFC 7686)'],
    ],
    [
      'a DNS server by name',
      ['{ name: a, dns: example.com, server: ns.example.com }'],
      ['6:44: probe "a": server: found "ns.example.com", expected the address of a DNS server'],
    ],
    [
      'a server without DNS',
      ['{ name: a, tcp: a:1, server: 10.0.0.1 }'],
      ['6:28: probe "a": server: found server without dns, expected it only there'],
    ],
    [
      'another scheme',
      ['{ name: a, http: "ftp://example.com/" }'],
      [
        '6:24: probe "a": http: found "ftp://example.com/", expected a URL, such as "https://example.com/health"',
      ],
    ],
    [
      'a URL without slashes',
      ['{ name: a, http: "https:example.com" }'],
      [
        '6:24: probe "a": http: found "https:example.com", expected a URL, such as "https://example.com/health"',
      ],
    ],
    [
      'an octal address in a URL',
      ['{ name: a, http: "http://010.0.0.1/" }'],
      [
        '6:24: probe "a": http: found "http://010.0.0.1/": numbers with leading zeros are octal to some tools; write them without',
      ],
    ],
    [
      'a password, which is not repeated',
      ['{ name: a, http: "https://me:secret@example.com/" }'],
      ['6:24: probe "a": http: found a URL with a user or password, expected none'],
    ],
    [
      'a fragment',
      ['{ name: a, http: "https://example.com/#top" }'],
      [
        '6:24: probe "a": http: found "https://example.com/#top", expected a URL without "#...", which is never sent',
      ],
    ],
    [
      'a line break in a path',
      ['{ name: a, http: "https://example.com/a\\r\\nHost: b" }'],
      [
        '6:24: probe "a": http: found "https://example.com/a\\r\\nHost: b", expected a URL, such as "https://example.com/health"',
      ],
    ],
    [
      'a space in a path',
      ['{ name: a, http: "https://example.com/a b" }'],
      ['6:24: probe "a": http: found "https://example.com/a b", expected other characters as %XX'],
    ],
    [
      'a status that is never the last',
      ['{ name: a, http: "https://example.com/", expect: 100 }'],
      ['6:56: probe "a": expect: found 100, expected an HTTP status from 200 to 599'],
    ],
    [
      'keys of HTTP without it',
      ['{ name: a, tcp: a:1, expect: 200, insecure: false }'],
      [
        '6:28: probe "a": expect: found expect without http, expected it only there',
        '6:41: probe "a": insecure: found insecure without http, expected it only there',
      ],
    ],
    [
      'insecure without TLS',
      ['{ name: a, http: "http://example.com/", insecure: true }'],
      ['6:47: probe "a": insecure: found insecure with http://, expected it only with https://'],
    ],
    [
      'a time without a unit',
      ['{ name: a, tcp: a:1, timeout: 2 }'],
      ['6:37: probe "a": timeout: found 2, expected a time with its unit, such as "2s" or "500ms"'],
    ],
    [
      'a time too long',
      ['{ name: a, tcp: a:1, timeout: 11s }'],
      ['6:37: probe "a": timeout: found "11s", expected a time from 100ms to 10s, such as "2s" or "500ms"'],
    ],
    [
      'a time too short',
      ['{ name: a, tcp: a:1, timeout: 99ms }'],
      ['6:37: probe "a": timeout: found "99ms", expected a time from 100ms to 10s, such as "2s" or "500ms"'],
    ],
    [
      '21 probes',
      Array.from({ length: 21 }, (_, index) => `{ name: a${index}, tcp: a:1 }`),
      ['6:5: spec.probes: found 21 probes, expected at most 20'],
    ],
  ])('%s', (_, texts, expected) => {
    expect(parse(probes(...texts)).problems.map(formatProblem)).toEqual(
      expected.map((line) => `a.yaml:${line}`),
    )
  })
})

test('20 probes are not too many', () => {
  const texts = Array.from({ length: 20 }, (_, index) => `{ name: a${index}, tcp: a:1 }`)
  expect(parse(probes(...texts)).problems).toEqual([])
})

test('every probe is read as it was written', () => {
  fc.assert(
    fc.property(probeLists, (specs) => {
      const text = `${head}spec: ${JSON.stringify({ probes: specs.map(toDocument) })}\n`
      const { rulesets, problems } = parse(text)
      expect(problems).toEqual([])
      expect(rulesets[0]?.probes).toEqual(specs)
    }),
    { numRuns: 500 },
  )
})

test('endpoints and URLs are read as they are printed', () => {
  fc.assert(
    fc.property(endpoints, httpUrls, (endpoint, url) => {
      expect(parseEndpoint(formatEndpoint(endpoint))).toEqual(endpoint)
      expect(parseHttpUrl(formatHttpUrl(url))).toEqual(url)
      // The strict form means the same to everybody.
      const { hostname, pathname, search } = new URL(formatHttpUrl(url))
      const withoutBrackets = hostname.replace(/^\[(.*)\]$/, '$1')
      if (!url.host.includes(':')) expect(withoutBrackets).toBe(url.host.toLowerCase())
      expect(typeof (pathname + search)).toBe('string')
    }),
  )
})

test('a change of a probe changes the hash of its ruleset', () => {
  const hashes = ['', '{ name: a, tcp: a:1 }', '{ name: a, tcp: a:2 }', '{ name: a, tcp: a:1, timeout: 1s }']
    .map((text) => parse(text === '' ? `${head}spec: {}\n` : probes(text)).rulesets)
    .map(hashRulesets)
  expect(new Set(hashes).size).toBe(4)
})
