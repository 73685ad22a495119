import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { DeniedNews } from '../../agent/denied/news.ts'
import type { DeniedFlow } from '../../agent/denied/top-flows.ts'
import { denied } from '../../agent/fleet/denied.ts'
import type { DeniedFlags } from '../../agent/fleet/denied.ts'
import { healthPages } from '../../agent/telemetry/health.ts'
import { servePages } from '../../agent/telemetry/serve-pages.ts'
import type { ApiServer } from '../cluster/api-server.ts'
import { connect, createTerminal, startCluster } from './fleet-fixture.ts'
import { ago, annotationsOf, now } from './fleet.ts'

const flow: DeniedFlow = {
  verdict: 'drop',
  rule: 'worker/ssh',
  protocol: 'tcp',
  from: '203.0.113.10',
  to: '198.51.100.2',
  port: 22,
  packets: 120,
  last: ago(90_000),
}
const hidden = { ...flow, rule: 'worker/\u001B[31mred', to: '2001:db8::2', packets: 7 }

function saying(flows: readonly DeniedFlow[]): Record<string, string> {
  const top = { since: ago(3_600_000), packets: 500, flows }
  return annotationsOf({ details: { logging: { by: 'nflog' }, denied: top } })
}

const nodes = {
  'worker-1': saying([hidden]),
  'worker-2': saying([
    { ...flow, packets: 9 },
    { ...flow, rule: 'worker/default ingress', port: 23 },
  ]),
  'worker-3': annotationsOf({ details: { logging: { by: 'nothing', note: 'the group is taken' } } }),
  'worker-4': annotationsOf(),
  'worker-5': {},
}

async function run(server: ApiServer | undefined, name?: string, flags: Partial<DeniedFlags> = {}) {
  const { terminal, told, text } = createTerminal()
  const found = server === undefined ? {} : { nodes: connect(server, { name }) }
  const effects = { signal: new AbortController().signal, terminal, now: () => now, ...found }
  return { code: await denied(name, { healthAddress: 'off', ...flags }, effects), told, text: text() }
}

test('flows of all nodes, those of most packets first, and who says nothing', async () => {
  const { code, text } = await run(await startCluster(nodes))
  expect(code).toBe(0)
  expect(text.split('\n')).toEqual([
    'NODE      PACKETS  VERDICT  RULE                    FROM          TO                PROTOCOL  LAST',
    'worker-2  120      drop     worker/default ingress  203.0.113.10  198.51.100.2:23   tcp       90s ago',
    'worker-2  9        drop     worker/ssh              203.0.113.10  198.51.100.2:22   tcp       90s ago',
    'worker-1  7        drop     worker/ [31mred         203.0.113.10  [2001:db8::2]:22  tcp       90s ago',
    '2 of 5 nodes have no rules that log',
    'worker-3: not read: the group is taken',
    '',
  ])
})

test('as JSON', async () => {
  const { text } = await run(await startCluster({ 'worker-1': nodes['worker-1'] }), 'worker-1', {
    json: true,
  })
  expect(JSON.parse(text)).toMatchObject([
    { node: 'worker-1', logging: { by: 'nflog' }, denied: { packets: 500, flows: [hidden] } },
  ])
})

test('a node that is not there', async () => {
  const { code, told } = await run(await startCluster({}), 'worker-9')
  expect([code, told]).toEqual([1, ['error: found no node "worker-9"']])
})

test('the agent of this host is asked first, and tells the latest', async () => {
  const line = {
    verdict: 'reject',
    rule: 'default ingress',
    from: '203.0.113.10',
    to: '198.51.100.2',
  } as const
  const news: DeniedNews = {
    logging: { by: 'kernel log', note: 'the group is taken' },
    top: { since: ago(3_600_000), packets: 500, flows: [flow] },
    recent: [
      { ...line, time: ago(1_000), protocol: 'udp', port: 53, in: 'eth0' },
      { verdict: 'drop', ruleset: 'worker', rule: 'ssh', time: ago(0), out: 'eth1' },
    ],
  }
  const health = { ailment: () => undefined, unready: () => undefined, denied: () => news }
  const server = await servePages({ host: '127.0.0.1', port: 0, onError: () => {} }, healthPages(health))
  onTestFinished(() => server.close())
  const { port } = server.address as AddressInfo
  const healthAddress = { host: '127.0.0.1', port }
  const { code, text } = await run(undefined, undefined, { healthAddress })
  expect(code).toBe(0)
  expect(text.split('\n')).toEqual([
    'what rules log is read by kernel log: the group is taken',
    '',
    'TIME                      VERDICT  RULE             FROM          TO               PROTOCOL  IN>OUT',
    '2026-03-01T11:59:59.000Z  reject   default ingress  203.0.113.10  198.51.100.2:53  udp       eth0>',
    '2026-03-01T12:00:00.000Z  drop     worker/ssh       ?             ?                ?         >eth1',
    '',
    '500 packets since 2026-03-01T11:00:00.000Z, most of them:',
    'PACKETS  VERDICT  RULE        FROM          TO               PROTOCOL  LAST',
    '120      drop     worker/ssh  203.0.113.10  198.51.100.2:22  tcp       90s ago',
    '',
  ])
  const asJson = await run(undefined, undefined, { healthAddress, json: true })
  expect(JSON.parse(asJson.text)).toEqual(news)
})

test('another program at that address is no agent', async () => {
  const health = { ailment: () => undefined, unready: () => undefined }
  const other = await servePages({ host: '127.0.0.1', port: 0, onError: () => {} }, healthPages(health))
  onTestFinished(() => other.close())
  const healthAddress = { host: '127.0.0.1', port: (other.address as AddressInfo).port }
  const { text } = await run(await startCluster(nodes), undefined, { healthAddress })
  expect(text).toContain('worker-2')
})
