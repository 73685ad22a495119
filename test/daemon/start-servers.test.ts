import { once } from 'node:events'
import { createServer } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { createMeter } from '../../agent/daemon/meter.ts'
import { startServers } from '../../agent/daemon/start-servers.ts'
import type { ServersOptions } from '../../agent/daemon/start-servers.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'

const loopback = { host: '127.0.0.1', port: 0 }
const everywhere = { host: '0.0.0.0', port: 0 }

/** What is answered at which of the addresses that the log tells of. */
async function answers(options: Partial<ServersOptions>): Promise<string[]> {
  const ports: number[] = []
  const write = (line: string) => {
    const { address } = JSON.parse(line) as { address?: { port: number } }
    if (address !== undefined) ports.push(address.port)
  }
  const servers = await startServers(
    { healthAddress: loopback, metricsAddress: 'default', metricsClients: [], once: false, ...options },
    {
      ailment: () => undefined,
      unready: () => undefined,
      metrics: createMeter().page,
      log: pino({}, { write }),
    },
  )
  onTestFinished(() => servers.close())
  const asked = ports.flatMap((port) =>
    ['healthz', 'metrics'].map(async (page) => {
      const response = await fetch(`http://127.0.0.1:${port}/${page}`)
      return response.ok ? [page] : []
    }),
  )
  return (await Promise.all(asked)).flat()
}

test.each([
  ['beside the probes, where these are on loopback', {}, ['healthz', 'metrics']],
  ['not where others can ask too', { healthAddress: everywhere }, ['healthz']],
  ['not when it is switched off', { metricsAddress: undefined }, ['healthz']],
  ['at an address of their own', { metricsAddress: loopback }, ['healthz', 'metrics']],
  ['also without probes', { healthAddress: undefined, metricsAddress: loopback }, ['metrics']],
  ['nowhere without either', { healthAddress: undefined }, []],
  ['nowhere for a single pass', { once: true }, []],
] as const)('metrics are answered %s', async (_, options, expected) => {
  expect(await answers({ ...options, metricsClients: [parseCidr('10.0.0.0/8')] })).toEqual(expected)
})

test('an address that cannot be used yet is used as soon as it can', async () => {
  // As while the agent before is ending, or an address of IPv6 is not sure to be the only one yet.
  const before = createServer().listen(0, '127.0.0.1')
  await once(before, 'listening')
  const address = before.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const lines: string[] = []
  const servers = await startServers(
    { healthAddress: { ...loopback, port }, metricsAddress: undefined, metricsClients: [], once: false },
    {
      ailment: () => undefined,
      unready: () => undefined,
      metrics: createMeter().page,
      log: pino({}, { write: (line: string) => void lines.push(line) }),
      retryMs: 10,
    },
  )
  onTestFinished(() => servers.close())
  const told = () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg)
  await expect.poll(told).toEqual(['no probes are answered yet: the address cannot be used'])
  before.close()
  const page = async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined))?.status
  await expect.poll(page).toBe(200)
  expect(told()).toHaveLength(2)
})
