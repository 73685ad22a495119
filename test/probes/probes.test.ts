import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Exec } from '../../agent/host/exec.ts'
import { tryIcmp } from '../../agent/probes/icmp.ts'
import { sharesNetworkWith } from '../../agent/probes/shares-network.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { createCertificate } from './certificates.ts'
import { createStreet, serverAddress } from './street.ts'
import type { Street } from './street.ts'

const ports = {
  tcp: 8080,
  http: 8081,
  https: 8443,
  otherCa: 8444,
  otherName: 8445,
  broken: 8503,
  moved: 8302,
}
const zone = {
  'example.test': { A: serverAddress.ipv4 },
  'both.test': { A: serverAddress.ipv4, AAAA: '2001:db8::dead' },
  'other.test': { A: '192.0.2.99', AAAA: serverAddress.ipv6 },
  'six.test': { AAAA: serverAddress.ipv6 },
  'slow.test': 'silence',
  'servfail.test': 2,
  'refused.test': 5,
  'kubernetes.default.svc.cluster.local': 2,
} as const

let street: Street
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-firewall-probes-'))
  const subjects = [`IP:${serverAddress.ipv4}`, `IP:${serverAddress.ipv6}`, 'DNS:example.test']
  const [trusted, otherCa] = await Promise.all([
    createCertificate(folder, 'trusted', subjects),
    createCertificate(folder, 'other', subjects),
  ])
  const hosts = `${serverAddress.ipv4} listed.test # not in DNS\n${serverAddress.ipv6} Six another.test\n`
  street = await createStreet({ trusted: trusted.file, hosts })
  const { server } = street
  const { key, cert } = trusted
  await server.listen('tcp', ports.tcp)
  await server.tell({ kind: 'http', port: ports.http, status: 200 })
  await server.tell({ kind: 'http', port: ports.broken, status: 503 })
  await server.tell({ kind: 'http', port: ports.moved, status: 302 })
  await server.tell({ kind: 'http', port: ports.https, status: 200, tls: { key, cert } })
  await server.tell({ kind: 'http', port: ports.otherCa, status: 200, tls: otherCa })
  await server.tell({ kind: 'dns', port: 53, zone })
})

afterAll(async () => {
  await street.close()
  await rm(folder, { recursive: true, force: true })
})

afterEach(async () => {
  for (const tool of ['iptables-nft', 'ip6tables-nft']) await street.node.exec(tool, ['-F'])
})

/** Failures of probes by name, `works` where there is none. */
async function run(...probes: readonly string[]): Promise<Record<string, string>> {
  const { results = [] } = await street.node.tell({ kind: 'run', ruleset: rulesetWith(probes) })
  return Object.fromEntries(results.map(({ name, failure }) => [name, failure ?? 'works']))
}

function rulesetWith(probes: readonly string[]): string {
  const lines = probes.map((probe) => `    - { ${probe} }\n`)
  const head = 'apiVersion: node-firewall.io/v1\nkind: Ruleset\nmetadata: { name: lab }\n'
  return `${head}spec:\n  probes:\n${lines.join('')}`
}

/** One of a kind each. */
function probesOf(family: Family, timeout: string): string[] {
  const address = serverAddress[family]
  const host = family === 'ipv6' ? `[${address}]` : address
  return [
    `name: tcp, tcp: "${host}:${ports.tcp}"`,
    `name: http, http: "http://${host}:${ports.http}/"`,
    `name: https, http: "https://${host}:${ports.https}/health?deep=1"`,
    `name: dns, dns: example.test, server: "${address}"`,
    `name: icmp, icmp: "${address}"`,
  ].map((probe) => `${probe}, timeout: ${timeout}`)
}

async function filter(family: Family, rule: string): Promise<void> {
  await street.node.exec(family === 'ipv4' ? 'iptables-nft' : 'ip6tables-nft', rule.split(' '))
}

/** Long enough for a busy machine to answer. */
const patient = '10s'

describe.each(families)('%s', (family) => {
  const address = serverAddress[family]
  const host = family === 'ipv6' ? `[${address}]` : address

  test('what can be reached works', async () => {
    expect(await run(...probesOf(family, patient))).toEqual({
      'lab/tcp': 'works',
      'lab/http': 'works',
      'lab/https': 'works',
      'lab/dns': 'works',
      'lab/icmp': 'works',
    })
  })

  test('answers that are dropped on the way in are silence', async () => {
    await filter(family, `-A INPUT -s ${address} -j DROP`)
    expect(await run(...probesOf(family, '300ms'))).toEqual({
      'lab/tcp': `connecting to ${host}:${ports.tcp}: no answer within 0.3 s`,
      'lab/http': `asking http://${host}:${ports.http}/: no answer within 0.3 s`,
      'lab/https': `asking https://${host}:${ports.https}/health?deep=1: no answer within 0.3 s`,
      'lab/dns': `asking ${address} for example.test: no answer within 0.3 s`,
      'lab/icmp': expect.stringMatching(/^pinging \S+: no (answer within 0\.3 s|reply)$/),
    })
  })

  test('what is dropped on the way out fails', async () => {
    await filter(family, `-A OUTPUT -d ${address} -j DROP`)
    expect(await run(...probesOf(family, '300ms'))).toEqual({
      'lab/tcp': `connecting to ${host}:${ports.tcp}: no answer within 0.3 s`,
      'lab/http': `asking http://${host}:${ports.http}/: no answer within 0.3 s`,
      'lab/https': `asking https://${host}:${ports.https}/health?deep=1: no answer within 0.3 s`,
      'lab/dns': `asking ${address} for example.test: refused, or no way to send`,
      'lab/icmp': expect.stringMatching(/^pinging \S+: /),
    })
  })

  test('what is rejected fails at once', async () => {
    await filter(family, `-A OUTPUT -p tcp -d ${address} -j REJECT --reject-with tcp-reset`)
    await filter(family, `-A OUTPUT -d ${address} -j REJECT`)
    expect(await run(...probesOf(family, patient))).toEqual({
      'lab/tcp': `connecting to ${host}:${ports.tcp}: refused`,
      'lab/http': `asking http://${host}:${ports.http}/: refused`,
      'lab/https': `asking https://${host}:${ports.https}/health?deep=1: refused`,
      'lab/dns': `asking ${address} for example.test: refused, or no way to send`,
      'lab/icmp': expect.stringMatching(/^pinging \S+: /),
    })
  })

  test('a port that nobody listens on, a host that nobody is', async () => {
    const absent = family === 'ipv4' ? '192.0.2.9' : '2001:db8::9'
    expect(
      await run(
        `name: tcp, tcp: "${host}:9", timeout: ${patient}`,
        `name: dns, dns: example.test, server: "${host}:9", timeout: ${patient}`,
        `name: icmp, icmp: "${absent}", timeout: ${patient}`,
      ),
    ).toEqual({
      'lab/tcp': `connecting to ${host}:9: refused`,
      'lab/dns': `asking ${host}:9 for example.test: refused, or no way to send`,
      'lab/icmp': expect.stringMatching(/^pinging \S+: Destination (Host U|u)nreachable/),
    })
  })

  test('connections that stand do not count, each attempt has its own', async () => {
    await run(...probesOf(family, patient))
    await run(...probesOf(family, patient))
    for (const port of [ports.http, ports.https, 53]) {
      const { clients = [] } = await street.server.tell({ kind: 'clients', port })
      expect(clients.length).toBeGreaterThan(1)
      expect(new Set(clients).size).toBe(clients.length)
    }
    await filter(family, '-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT')
    await filter(family, `-A OUTPUT -d ${address} -j DROP`)
    expect(Object.values(await run(...probesOf(family, '300ms')))).not.toContain('works')
  })
})

test.each([
  ['a status of 300 and more', `http: "http://192.0.2.2:${ports.moved}/"`, 'works'],
  [
    'a status that is not the one',
    `http: "http://192.0.2.2:${ports.moved}/", expect: 200`,
    '302, expected 200',
  ],
  ['an error', `http: "http://192.0.2.2:${ports.broken}/"`, 'found status 503, expected 200 to 399'],
  ['an error that is expected', `http: "http://192.0.2.2:${ports.broken}/", expect: 503`, 'works'],
  ['a CA that nobody knows', `http: "https://192.0.2.2:${ports.otherCa}/"`, 'self-signed certificate'],
  ['that, if any will do', `http: "https://192.0.2.2:${ports.otherCa}/", insecure: true`, 'works'],
  ['a certificate by name', `http: "https://example.test:${ports.https}/"`, 'works'],
  [
    'the name of another',
    `http: "https://listed.test:${ports.https}/"`,
    "does not match certificate's altnames",
  ],
  ['that, if any will do', `http: "https://listed.test:${ports.https}/", insecure: true`, 'works'],
  [
    'no TLS where it should be',
    `http: "https://192.0.2.2:${ports.http}/"`,
    'asking https://192.0.2.2:8081/: ',
  ],
  [
    'no HTTP where it should be',
    `http: "http://192.0.2.2:${ports.https}/"`,
    'asking http://192.0.2.2:8443/: ',
  ],
])('HTTP: %s', async (_, probe, expected) => {
  const result = await run(`name: a, ${probe}, timeout: ${patient}`)
  expect(result['lab/a']).toContain(expected)
})

test.each([
  ['an address', 'example.test', 'works'],
  ['no address of IPv4', 'six.test', 'works'],
  ['a name that is not there', 'nobody.test', 'works'],
  ['a server that cannot', 'servfail.test', 'asking DNS for servfail.test: SERVFAIL'],
  ['a server that will not', 'refused.test', 'asking DNS for refused.test: REFUSED'],
  ['no answer', 'slow.test', 'asking 192.0.2.2 for slow.test: no answer within 0.3 s'],
])("DNS, from the system's server: %s", async (_, name, expected) => {
  const timeout = name === 'slow.test' ? '300ms' : patient
  expect(await run(`name: a, dns: ${name}, timeout: ${timeout}`)).toEqual({ 'lab/a': expected })
})

test.each([
  ['of one family', `six.test:${ports.tcp}`, 'works'],
  ['whose second address is dead', `both.test:${ports.tcp}`, 'works'],
  ['whose first address is dead', `other.test:${ports.tcp}`, 'works'],
  ['of /etc/hosts', `listed.test:${ports.tcp}`, 'works'],
  ['of /etc/hosts, in other letters', `six:${ports.tcp}`, 'works'],
  ['that is not there', 'nobody.test:80', 'looking up nobody.test: NXDOMAIN'],
  ['that is only there in a search domain', 'example:80', 'looking up example: NXDOMAIN'],
  ['that no server knows', 'servfail.test:80', 'looking up servfail.test: SERVFAIL'],
  ['that nobody answers', 'slow.test:80', 'asking 192.0.2.2 for slow.test: no answer'],
])('a name %s', async (_, endpoint, expected) => {
  const timeout = endpoint.startsWith('slow') ? '400ms' : '2s'
  const result = await run(`name: a, tcp: "${endpoint}", timeout: ${timeout}`)
  expect(result['lab/a']).toContain(expected)
})

test.each([
  ['one of two answers, even if it fails', ['192.0.2.2:9', serverAddress.ipv6], undefined],
  [
    'none answers',
    ['192.0.2.2:9', '[2001:db8::2]:9'],
    /^asking 192\.0\.2\.2:9 .*; asking \[2001:db8::2\]:9 /,
  ],
  ['none is known', [], 'asking the cluster DNS: none of its addresses is known'],
])('cluster DNS: %s', async (_, addresses, failure) => {
  const { results } = await street.node.tell({ kind: 'clusterDns', addresses })
  expect(results).toEqual([
    {
      name: 'cluster dns',
      ...(failure === undefined ? {} : { failure: expect.stringMatching(failure) as string }),
    },
  ])
})

test.each([
  ['all that answered before have to answer after', [serverAddress.ipv4, serverAddress.ipv6], /no answer/],
  ['what did not answer before need not', [serverAddress.ipv4, '[2001:db8::2]:9'], undefined],
])('cluster DNS: %s', async (_, addresses, failure) => {
  await street.node.tell({ kind: 'clusterDns', addresses })
  await filter('ipv6', `-A INPUT -s ${serverAddress.ipv6} -j DROP`)
  const { results } = await street.node.tell({ kind: 'clusterDnsAfter', addresses })
  expect(results?.[0]?.failure).toEqual(failure === undefined ? undefined : expect.stringMatching(failure))
})

test('cluster DNS: silence', async () => {
  await filter('ipv4', `-A INPUT -s ${serverAddress.ipv4} -j DROP`)
  const { results } = await street.node.tell({ kind: 'clusterDns', addresses: [serverAddress.ipv4] })
  expect(results?.[0]?.failure).toContain('no answer within 2 s')
})

test.each(probesOf('ipv4', patient))('nothing stays behind when it is called off: %s', async (probe) => {
  await filter('ipv4', `-A INPUT -s ${serverAddress.ipv4} -j DROP`)
  const order = { kind: 'callOff', ruleset: rulesetWith([probe]) } as const
  const { held, results } = await street.node.tell(order)
  expect(results?.[0]?.failure).toBe('still under way when the time was over')
  expect(held?.before).toMatchObject({ listeners: 0 })
  expect(held?.meanwhile.sockets).toBeGreaterThan(held?.before.sockets ?? Infinity)
  expect(held?.meanwhile.listeners).toBeGreaterThan(0)
})

test('a missing ping is told as such', async () => {
  const enter = ['PATH=/nowhere', '/usr/bin/nsenter', '--target', String(street.node.pid), '--net', '--']
  const exec: Exec = async (program, args, options) =>
    street.node.exec('env', [...enter, program, ...args], options)
  await expect(tryIcmp(exec, '192.0.2.2', 1_000, AbortSignal.any([]))).rejects.toThrow(
    'pinging 192.0.2.2: there is no ping (Debian package iputils-ping)',
  )
})

test('a process shares its network with those of its namespace only', async () => {
  expect(await sharesNetworkWith(process.pid)).toBe(true)
  expect(await sharesNetworkWith(street.node.pid)).toBe(false)
  await expect(sharesNetworkWith(2 ** 30)).rejects.toThrow('ENOENT')
})
