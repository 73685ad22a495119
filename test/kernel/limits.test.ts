import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { inNetworkOf } from '../../agent/host/exec.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { connectionLimitMatch, rateLimitMatch } from '../../agent/netfilter/limit-text.ts'
import { program } from '../../agent/netfilter/tables.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { ConnectionLimit, RateLimit } from '../../agent/ruleset/ruleset.ts'
import { usableBackends } from '../sandbox/backends.ts'
import type { Host } from '../sandbox/host.ts'
import type { Outcome } from '../sandbox/protocol.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'

const backends = await usableBackends()

const perRule = { per: 'rule' } as const
const perSource = { per: 'source', ipv4Prefix: 32, ipv6Prefix: 64 } as const

/** A client, one with another address in the same /64, and one of another network. */
type Client = 'client' | 'neighbour' | 'stranger'
const clients = {
  client: { host: 'internet', ...clientAddress.internet },
  neighbour: { host: 'internet', ipv4: '203.0.113.11', ipv6: '2001:db8:113::11' },
  stranger: { host: 'private', ...clientAddress.private },
} as const

/** So slow that no test sees a bucket fill: what passes is the burst. */
const rate = { rate: 1, unit: 'hour' } as const

/** How long an answer that has to come may take, and how long one that must not come is waited for. */
const patienceMs = 10_000
const silenceMs = 300

describe.each(backends)('on iptables-%s', (backend) => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    await sandbox.node.listen('tcp', 7)
    for (const port of [7, 8]) await sandbox.node.listen('udp', port)
    for (const address of [`${clients.neighbour.ipv4}/24`, `${clients.neighbour.ipv6}/64`]) {
      await sandbox.internet.exec('ip', ['address', 'add', address, 'dev', 'eth0'])
    }
    for (const family of families) {
      await refill(sandbox.node, backend, family, [])
      await restore(sandbox.node, backend, family, ['-I INPUT -j arriving'])
    }
  })
  afterAll(async () => sandbox.close())

  describe.each(families)('%s', (family) => {
    const address = nodeAddress[family]
    const enforce = async (...rules: readonly string[]) => refill(sandbox.node, backend, family, rules)

    async function probe(
      protocol: 'tcp' | 'udp',
      from: Client,
      expected: Outcome,
      port = 7,
    ): Promise<Outcome> {
      const { host, [family]: source } = clients[from]
      const waitMs = expected === 'accepted' ? patienceMs : silenceMs
      return sandbox[host].probe({ protocol, address, port, source, silenceMs: waitMs })
    }

    /** Sends one datagram after another, each of a connection of its own, and expects these outcomes. */
    async function expectOutcomes(from: Client, expected: readonly Outcome[], port = 7): Promise<void> {
      const outcomes: Outcome[] = []
      for (const outcome of expected) outcomes.push(await probe('udp', from, outcome, port))
      expect(outcomes).toEqual(expected)
    }

    test('what exceeds the rate of a source is dropped, and other sources are free', async () => {
      await enforce(dropAbove({ ...rate, burst: 3, scope: perSource }, 'sources', family))
      await expectOutcomes('client', ['accepted', 'accepted', 'accepted', 'silence', 'silence'])
      await expectOutcomes('stranger', ['accepted', 'accepted', 'accepted', 'silence'])
      await expectOutcomes('client', ['silence'])
      await expectOutcomes('neighbour', [family === 'ipv4' ? 'accepted' : 'silence'])
      expect(await dropped(sandbox.node, backend, family)).toBe(family === 'ipv4' ? 4 : 5)
    })

    test('the bucket of a rule is shared by all sources, and by all chains that go through it', async () => {
      const limit = dropAbove({ ...rate, burst: 3, scope: perRule }, 'one bucket', family)
      const jumps = ['-p udp -m udp --dport 7 -j limited', '-p udp -m udp --dport 8 -g limited']
      await refill(sandbox.node, backend, family, jumps, [limit])
      await expectOutcomes('client', ['accepted', 'accepted'], 7)
      await expectOutcomes('stranger', ['accepted', 'silence'], 8)
      await expectOutcomes('client', ['silence'], 7)
    })

    test('buckets outlast a rewrite, and begin anew when the limit changes', async () => {
      const limit = (burst: number) => dropAbove({ ...rate, burst, scope: perSource }, 'rewritten', family)
      await enforce(limit(2))
      await expectOutcomes('client', ['accepted', 'accepted', 'silence'])
      await enforce(limit(2))
      await enforce('-p udp -m udp --dport 9 -j DROP', limit(2))
      await expectOutcomes('client', ['silence'])
      await enforce(limit(3))
      await expectOutcomes('client', ['accepted', 'accepted', 'accepted', 'silence'])
    })

    test('when no more sources can be told apart, new ones are dropped and known ones are not', async () => {
      const match = dropAbove({ ...rate, burst: 3, scope: perSource }, 'full', family)
      const full = match.replace(/(--hashlimit-htable-size) \d+ (--hashlimit-htable-max) \d+/, '$1 1 $2 1')
      expect(full).not.toBe(match)
      await enforce(full)
      await expectOutcomes('client', ['accepted'])
      await expectOutcomes('stranger', ['silence', 'silence'])
      await expectOutcomes('client', ['accepted'])
      expect(await dropped(sandbox.node, backend, family)).toBe(0)
    })

    test('one connection more than a source may have is dropped, until one of them has ended', async () => {
      await enforce(dropMore({ max: 2, scope: perSource }, family))
      const source = clients.client[family]
      const closeFirst = await holdConnection(sandbox.internet, address, source)
      await holdConnection(sandbox.internet, address, source)
      expect(await probe('tcp', 'client', 'silence')).toBe('silence')
      const ofNeighbour = family === 'ipv4' ? 'accepted' : 'silence'
      expect(await probe('tcp', 'neighbour', ofNeighbour)).toBe(ofNeighbour)
      expect(await probe('tcp', 'stranger', 'accepted')).toBe('accepted')
      await closeFirst()
      await expect
        .poll(async () => probe('tcp', 'client', 'silence'), { timeout: patienceMs })
        .toBe('accepted')
    })

    test('the connections of a rule are counted together', async () => {
      await enforce(dropMore({ max: 1, scope: perRule }, family))
      const close = await holdConnection(sandbox.internet, address, clients.client[family])
      expect(await probe('tcp', 'stranger', 'silence')).toBe('silence')
      await close()
      await expect
        .poll(async () => probe('tcp', 'stranger', 'silence'), { timeout: patienceMs })
        .toBe('accepted')
    })
  })
})

function dropAbove(limit: RateLimit, name: string, family: Family): string {
  return `-p udp -m udp --dport 7:8 ${rateLimitMatch(limit, name, family)} -j DROP`
}

function dropMore(limit: ConnectionLimit, family: Family): string {
  return `-p tcp -m tcp --dport 7 ${connectionLimitMatch(limit, family)} -j DROP`
}

/** Replaces the chain that new connections go through, and another one that it may jump to. */
async function refill(
  node: Host,
  backend: Backend,
  family: Family,
  rules: readonly string[],
  limited: readonly string[] = [],
): Promise<void> {
  await restore(node, backend, family, [
    ':arriving - [0:0]',
    ':limited - [0:0]',
    '-A arriving -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
    ...rules.map((rule) => `-A arriving ${rule}`),
    ...limited.map((rule) => `-A limited ${rule}`),
  ])
}

async function restore(node: Host, backend: Backend, family: Family, lines: readonly string[]) {
  const input = ['*filter', ...lines, 'COMMIT', ''].join('\n')
  await node.exec(program(backend, family, 'restore'), ['--noflush', '--wait=10'], { input })
}

/** How many packets the rules that drop have counted. */
async function dropped(node: Host, backend: Backend, family: Family): Promise<number> {
  const { stdout } = await node.exec(program(backend, family, 'save'), ['--counters', '-t', 'filter'])
  const counts = [...stdout.matchAll(/^\[(\d+):\d+\] .* -j DROP$/gm)].map(([, packets]) => Number(packets))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Opens a TCP connection that stands until the returned function is called, or the test ends. */
async function holdConnection(host: Host, address: string, source: string): Promise<() => Promise<void>> {
  const script = `
    const socket = require('node:net').connect({ host: '${address}', port: 7, localAddress: '${source}' })
    socket.on('connect', () => console.log('open'))
    process.stdin.on('data', () => {}).on('end', () => socket.end(() => process.exit()))`
  const { file, args } = inNetworkOf(host.pid, process.execPath, ['--eval', script])
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit').then(() => 'ended')
  const opened = await Promise.race([once(child.stdout, 'data').then(() => 'open'), ended])
  if (opened !== 'open') throw new Error('the connection could not be opened')
  const close = async () => {
    child.stdin.end()
    await ended
  }
  onTestFinished(close)
  return close
}
