import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { parseCidr } from '../agent/ruleset/address.ts'
import { healthPages } from '../agent/telemetry/health.ts'
import { servePages } from '../agent/telemetry/serve-pages.ts'
import type { PagesServer } from '../agent/telemetry/serve-pages.ts'

const local = { host: '127.0.0.1', port: 0, onError: () => {} }

async function get({ address }: PagesServer, path: string) {
  const port = typeof address === 'object' ? address?.port : undefined
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return [response.status, await response.text()]
}

test('probes say ok, or what is wrong', async () => {
  let ailment: string | undefined
  let unready: string | undefined = 'no pass has ended yet'
  const pages = healthPages({ ailment: () => ailment, unready: () => unready })
  const server = await servePages(local, pages)
  expect(await get(server, '/healthz')).toEqual([200, 'ok\n'])
  expect(await get(server, '/readyz')).toEqual([503, 'no pass has ended yet\n'])
  ailment = 'a pass does not come to its end'
  unready = undefined
  expect(await get(server, '/healthz')).toEqual([503, 'a pass does not come to its end\n'])
  expect(await get(server, '/readyz')).toEqual([200, 'ok\n'])
  expect(await get(server, '/metrics')).toEqual([404, 'no such page\n'])
  const { port } = server.address as { port: number }
  await expect(servePages({ ...local, port }, pages)).rejects.toThrow('EADDRINUSE')
  server.close()
})

test('a page that cannot be made is an error of the server, which goes on', async () => {
  const errors: unknown[] = []
  const pages = new Map([['/metrics', async () => Promise.reject(new Error('a bug'))]])
  const server = await servePages({ ...local, onError: (error) => void errors.push(error) }, pages)
  expect(await get(server, '/metrics')).toEqual([500, 'this page could not be made: see the log\n'])
  expect(errors).toEqual([new Error('a bug')])
  expect(await get(server, '/other')).toEqual([404, 'no such page\n'])
  server.close()
})

test.each([
  ['127.0.0.0/8', 200],
  ['10.0.0.0/8', 'reset'],
])('a client from 127.0.0.2 is let in by %s: %s', async (network, outcome) => {
  const pages = healthPages({ ailment: () => undefined, unready: () => undefined })
  const server = await servePages({ ...local, clients: [parseCidr(network)] }, pages)
  const { port } = server.address as { port: number }
  const { request } = await import('node:http')
  const answer = new Promise<number | string | undefined>((resolve) => {
    request({ host: '127.0.0.1', port, path: '/healthz', localAddress: '127.0.0.2' })
      .on('response', (response) => resolve(response.resume().statusCode))
      .on('error', (error) =>
        resolve('code' in error && error.code === 'ECONNRESET' ? 'reset' : String(error)),
      )
      .end()
  })
  expect(await answer).toBe(outcome)
  expect(await get(server, '/healthz')).toEqual([200, 'ok\n'])
  server.close()
})

test('what was denied is told to this host', async () => {
  const health = { ailment: () => undefined, unready: () => undefined, denied: () => ({ recent: [] }) }
  const server = await servePages({ ...local, host: '::' }, healthPages(health))
  const { port } = server.address as { port: number }
  for (const host of ['127.0.0.1', '[::1]']) {
    const response = await fetch(`http://${host}:${port}/denied`)
    expect([response.headers.get('content-type'), await response.json()]).toEqual([
      'application/json',
      { recent: [] },
    ])
  }
  const other = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.internal === false && address.family === 'IPv4')?.address
  if (other === undefined) console.warn('SKIPPED: asking from elsewhere: this machine has no other address')
  else expect((await fetch(`http://${other}:${port}/denied`)).status).toBe(404)
  server.close()
})
