import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { formatProblem } from '../../agent/ruleset/problem.ts'
import { rulesetDocuments } from './arbitrary.ts'

function problemsOf(...texts: readonly (string | Uint8Array)[]): string[] {
  const files = texts.map((text, index) => ({ path: `${index + 1}.yaml`, bytes: Buffer.from(text) }))
  return parseRulesets(files).problems.map(formatProblem)
}

const head = 'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: worker }\n'
const rule = (text: string) => `${head}spec:\n  rules:\n    - ${text}\n`
const spec = (text: string) => `${head}spec:\n  ${text}\n`

describe('a sound ruleset', () => {
  test('is read with everything it says', () => {
    const text = `${head}spec:
  nodeSelector: { matchLabels: { pool: web } }
  priority: 5
  interfaces: { external: [eth0, "bond+"] }
  defaults: { ingress: reject }
  sets:
    bastion: [203.0.113.10, "2001:db8::/64"]
  rules:
    - { name: ssh, action: accept, protocol: [tcp, 17, sctp], ports: [22, "30000-32767"], from: [bastion, 10.0.0.0/8] }
`
    const { rulesets, problems } = parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(text) }])
    expect(problems).toEqual([])
    expect(rulesets).toEqual([
      {
        name: 'worker',
        path: 'a.yaml',
        priority: 5,
        mode: 'enforce',
        established: 'cut',
        nodeSelector: { matchLabels: { pool: 'web' } },
        external: ['eth0', 'bond+'],
        defaults: { ingress: 'reject' },
        logsDefaults: false,
        failsafe: {},
        sets: new Map([
          [
            'bastion',
            [
              { family: 'ipv4', address: '203.0.113.10', prefix: 32 },
              { family: 'ipv6', address: '2001:db8::', prefix: 64 },
            ],
          ],
        ]),
        rules: [
          {
            name: 'ssh',
            flow: 'ingress',
            action: 'accept',
            log: false,
            audit: false,
            protocols: [6, 17, 132],
            ports: [
              { first: 22, last: 22 },
              { first: 30_000, last: 32_767 },
            ],
            from: [{ set: 'bastion' }, { family: 'ipv4', address: '10.0.0.0', prefix: 8 }],
          },
        ],
        probes: [],
        positions: {
          name: { line: 3, column: 19 },
          defaults: { ingress: { line: 8, column: 24 } },
          failsafe: {},
          rules: [{ line: 12, column: 7 }],
        },
      },
    ])
  })

  test('may leave out everything but its head', () => {
    expect(problemsOf(`${head}spec: {}\n`)).toEqual([])
  })
})

describe('what is no ruleset at all', () => {
  test.each([
    ['nothing', '', ['1.yaml:1:1: the file is empty, expected a Ruleset']],
    ['only a comment', '# nothing\n', ['1.yaml:1:1: the file is empty, expected a Ruleset']],
    ['a list', '- a\n', [expect.stringContaining('1.yaml:1:1: found a list, expected a Ruleset')]],
    ['text that does not parse', 'a: [1\nb: 2\n', [expect.stringMatching(/^1\.yaml:\d+:\d+: YAML: /)]],
    ['a tab', 'a:\n\tb: 1\n', [expect.stringContaining('1.yaml:2:1: found a tab in the indentation')]],
    [
      'a second document',
      `${head}spec: {}\n---\na: 1\n`,
      [expect.stringContaining('1.yaml:5:1: found a second document')],
    ],
    ['a key twice', 'a: 1\na: 2\n', ['1.yaml:2:1: this key is already given above, expected each key once']],
    [
      'binary',
      new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0xff]),
      [expect.stringContaining('1.yaml:1:1: found')],
    ],
    ['text with a NUL', 'a: "\0"\n', ['1.yaml:1:1: found control characters, expected a text file']],
    [
      '5 MB',
      'a'.repeat(5_000_000),
      ['1.yaml:1:1: found a file of 5000000 bytes, expected at most 1048576 (1 MiB)'],
    ],
    [
      'brackets without end',
      '['.repeat(50_000),
      [expect.stringContaining('the YAML is nested too deeply to be read')],
    ],
    [
      'an alias',
      'a: &x 1\nb: *x\n',
      ['1.yaml:1:7: found an anchor ("&..."), expected none', expect.anything()],
    ],
    ['a cyclic alias', '&a [*a]\n', [expect.stringContaining('anchor'), expect.stringContaining('alias')]],
    ['a tag', 'a: !!binary aGk=\n', [expect.stringContaining('1.yaml:1:13: found the tag')]],
    [
      'an octal number',
      'a: 022\n',
      ['1.yaml:1:4: found 022, expected a decimal number without leading zeros'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected)
  })
})

describe('errors name file, line, column, rule and field, what was found and what was expected', () => {
  test.each([
    [
      'an unknown key',
      rule('{ name: a, action: drop, prots: [22] }'),
      '6:32: rule "a": prots: found the unknown key "prots", expected "ports"',
    ],
    [
      'a key of a later version',
      spec('colour: red'),
      '5:3: spec.colour: found the unknown key "colour", expected one of nodeSelector, ',
    ],
    ['no name', rule('{ action: drop }'), '6:7: rule 1: name: found nothing, expected a name'],
    [
      'a wrong action',
      rule('{ name: a, action: allow }'),
      '6:26: rule "a": action: found "allow", expected accept, drop or reject',
    ],
    [
      'a name with odd characters',
      rule('{ name: "a\\"b", action: drop }'),
      '6:15: rule "a"b": name: found "a\\"b", expected at most 63',
    ],
    [
      'a protocol nobody knows',
      rule('{ name: a, action: drop, protocol: [tcp, foo] }'),
      '6:48: rule "a": protocol[1]: found "foo", expected icmp,',
    ],
    [
      'an extension header',
      rule('{ name: a, action: drop, protocol: 44 }'),
      '6:42: rule "a": protocol: found 44: this is the IPv6 fragment header',
    ],
    [
      'a port out of range',
      rule('{ name: a, action: drop, protocol: tcp, ports: [70000] }'),
      '6:55: rule "a": ports[0]: found 70000, expected a port from 1 to 65535',
    ],
    [
      'port 0',
      rule('{ name: a, action: drop, protocol: tcp, ports: [0] }'),
      'found 0, expected a port from 1 to 65535',
    ],
    [
      'a range upside down',
      rule('{ name: a, action: drop, protocol: tcp, ports: ["9-1"] }'),
      'ports[0]: found "9-1": the range goes down; write "1-9"',
    ],
    [
      'a range with leading zeros',
      rule('{ name: a, action: drop, protocol: tcp, ports: ["022-23"] }'),
      'found "022-23", expected a port',
    ],
    [
      'no ports',
      rule('{ name: a, action: drop, protocol: tcp, ports: [] }'),
      'ports: found an empty list, expected at least one of ports',
    ],
    [
      'ports without a protocol',
      rule('{ name: a, action: drop, ports: [22] }'),
      'ports: found ports with no protocol, expected only protocols that have ports',
    ],
    [
      'ports with icmp',
      rule('{ name: a, action: drop, protocol: [tcp, icmp], ports: [22] }'),
      'ports: found ports with protocol 1, expected only',
    ],
    [
      'host bits',
      rule('{ name: a, action: drop, from: [10.1.2.3/8] }'),
      'from[0]: found "10.1.2.3/8": host bits are set; write 10.0.0.0/8, or 10.1.2.3 for the one host',
    ],
    [
      'an IPv6 zone',
      rule('{ name: a, action: drop, from: ["fe80::1%eth0"] }'),
      'from[0]: found "fe80::1%eth0": an IPv6 zone',
    ],
    [
      'an octal address',
      rule('{ name: a, action: drop, from: [010.0.0.1] }'),
      'from[0]: found "010.0.0.1": numbers with leading zeros',
    ],
    [
      'an unquoted IPv6 address',
      rule('{ name: a, action: drop, from: [2001:db8::] }'),
      'from[0]: found a map, expected an address or CIDR in quotes',
    ],
    [
      'a prefix too long',
      rule('{ name: a, action: drop, from: [10.0.0.0/33] }'),
      'found "10.0.0.0/33": the prefix length must be a number from 0 to 32',
    ],
    [
      'an empty from',
      rule('{ name: a, action: drop, from: [] }'),
      'from: found an empty list, expected at least one',
    ],
    [
      'a set nobody defined',
      rule('{ name: a, action: drop, from: [privat] }'),
      'from[0]: found the set "privat", which nobody defines, expected "private"',
    ],
    [
      'two families at once',
      rule('{ name: a, action: drop, from: [10.0.0.1], to: ["::1"] }'),
      'found a rule that can never match (from is ipv4, to is ipv6)',
    ],
    [
      'icmp with IPv6 addresses',
      rule('{ name: a, action: drop, protocol: icmp, from: ["::1"] }'),
      'found a rule that can never match (protocol is ipv4, from is ipv6)',
    ],
    [
      'a second rule of a name',
      rule('{ name: a, action: drop }\n    - { name: a, action: drop }'),
      '7:15: rule "a": name: found a second rule of this name',
    ],
    [
      'a long interface name',
      rule('{ name: a, action: drop, interfaces: [abcdefghijklmnop] }'),
      'interfaces[0]: found "abcdefghijklmnop", expected the name of a network interface',
    ],
    [
      'any among interfaces',
      rule('{ name: a, action: drop, interfaces: [any, eth0] }'),
      'interfaces: found "any" beside other interfaces, expected [any] alone',
    ],
    [
      'a wrong default',
      spec('defaults: { ingress: deny }'),
      '5:24: spec.defaults.ingress: found "deny", expected accept, drop or reject',
    ],
    [
      'a built-in set',
      spec('sets: { private: [10.0.0.1] }'),
      '5:11: spec.sets.private: found "private": a set of this name is built in',
    ],
    [
      'a selector without values',
      spec('nodeSelector: { matchExpressions: [{ key: a, operator: In }] }'),
      'matchExpressions[0]: found no values, expected at least one with In',
    ],
    [
      'a number as a label',
      spec('nodeSelector: { matchLabels: { a: 1 } }'),
      'spec.nodeSelector.matchLabels.a: found 1, expected a label value in quotes',
    ],
    [
      'a wrong kind',
      head.replace('Ruleset', 'NetworkPolicy'),
      'kind: found "NetworkPolicy", expected Ruleset',
    ],
    [
      'a wrong version',
      head.replace('v1', 'v2'),
      'apiVersion: found "node-firewall.io/v2", expected node-firewall.io/v1',
    ],
    [
      'labels in metadata',
      head.replace('worker }', 'worker, labels: {} }'),
      'metadata.labels: found the unknown key "labels", expected one of name',
    ],
    [
      'a failsafe that is false: YAML 1.1 takes "off" for it',
      spec('failsafe: { kubelet: false }'),
      '1.yaml:5:24: spec.failsafe.kubelet: found false, expected "off", or a map with from',
    ],
    [
      'a failsafe that nobody knows',
      spec('failsafe: { ssh: off }'),
      'found the unknown key "ssh", expected one of dhcp, kubelet, apiServer, etcd, tunnels, dns, apiServers',
    ],
    [
      'a failsafe that is misspelt',
      spec('failsafe: { kublet: off }'),
      'found the unknown key "kublet", expected "kubelet"',
    ],
    [
      'a failsafe that no ruleset can touch',
      spec('failsafe: { established: off }'),
      '1.yaml:5:15: spec.failsafe.established: found "established", without which no rule would work as it is written, expected one of',
    ],
    [
      'a failsafe narrowed the wrong way',
      spec('failsafe: { kubelet: { to: [any] } }'),
      '1.yaml:5:26: spec.failsafe.kubelet.to: found the unknown key "to", expected one of from',
    ],
    [
      'a failsafe narrowed to nothing',
      spec('failsafe: { kubelet: {} }'),
      'spec.failsafe.kubelet: found an empty map, expected from or to, or "off"',
    ],
    [
      'a failsafe for a set that nobody defines',
      spec('failsafe: { kubelet: { from: [nodez] }, dns: off }'),
      '1.yaml:5:33: spec.failsafe.kubelet.from[0]: found the set "nodez", which nobody defines, expected "nodes"',
    ],
    [
      'a failsafe for a network with host bits',
      spec('failsafe: { kubelet: { from: [10.0.0.1/8] } }'),
      'spec.failsafe.kubelet.from[0]: found "10.0.0.1/8": host bits are set',
    ],
    [
      'lists that multiply beyond measure',
      explosive(),
      'makes 80000 iptables rules of this ruleset, expected at most 50000',
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text).join('\n')).toContain(expected)
  })

  function explosive(): string {
    const from = Array.from({ length: 400 }, (_, index) => `10.0.${index >> 8}.${index & 255}`).join(', ')
    return rule(
      `{ name: a, action: drop, protocol: tcp, ports: [1, 3, 5, 7, 9, 11, 13, 15, 17, 19], from: [${from}], to: [${from.replaceAll('10.0', '10.1')}] }`,
    )
  }
})

test('all problems of all files are told at once', () => {
  const bad = rule('{ name: a, action: allow, ports: [0], from: [1.2.3.4/8], nonsense: 1 }')
  expect(problemsOf(bad, 'a: [', bad)).toHaveLength(9)
})

test('files that are too much together are not parsed at all', () => {
  const half = `# ${'x'.repeat(600_000)}\n`
  expect(problemsOf(half, half)).toEqual([
    '1.yaml:1:1: found 1200006 bytes in all files together, expected at most 1048576 (1 MiB)',
  ])
})

test('a second ruleset of one name is an error at the second', () => {
  expect(problemsOf(`${head}spec: {}\n`, `${head}spec: {}\n`)).toEqual([
    '2.yaml:3:19: metadata.name: found "worker", which 1.yaml has too, expected each name once',
  ])
})

test('an empty set is a warning', () => {
  expect(problemsOf(spec('sets: { nobody: [] }'))).toEqual([
    '1.yaml:5:11: warning: spec.sets.nobody: is empty: rules that name it match nobody',
  ])
})

test('whatever bytes a file has, they are either read or complained about', () => {
  const json = rulesetDocuments().map((document) => JSON.stringify(document, null, 1))
  const mutated = fc
    .tuple(json, fc.nat(), fc.nat(20), fc.string({ maxLength: 4, unit: 'grapheme' }))
    .map(
      ([text, at, length, insert]) =>
        text.slice(0, at % text.length) + insert + text.slice((at % text.length) + length),
    )
  fc.assert(
    fc.property(fc.oneof(mutated, fc.string({ unit: 'binary' }), fc.uint8Array()), (content) => {
      const { rulesets, problems } = parseRulesets([{ path: 'a.yaml', bytes: Buffer.from(content) }])
      expect(rulesets.length + problems.length).toBeGreaterThan(0)
      for (const { line, column } of problems) expect(Math.min(line, column)).toBeGreaterThan(0)
    }),
    { numRuns: 500 },
  )
})
