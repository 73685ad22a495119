import { networkInterfaces } from 'node:os'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { serveHealth } from '../agent/telemetry/health.ts'

test('probes say ok, or what is wrong', async () => {
  let ailment: string | undefined
  let unready: string | undefined = 'no pass has ended yet'
  const health = { ailment: () => ailment, unready: () => unready }
  const server = await serveHealth({ host: '127.0.0.1', port: 0 }, health)
  const { port } = server.address() as AddressInfo
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return [response.status, await response.text()]
  }
  expect(await get('/healthz')).toEqual([200, 'ok\n'])
  expect(await get('/readyz')).toEqual([503, 'no pass has ended yet\n'])
  ailment = 'a pass does not come to its end'
  unready = undefined
  expect(await get('/healthz')).toEqual([503, 'a pass does not come to its end\n'])
  expect(await get('/readyz')).toEqual([200, 'ok\n'])
  expect(await get('/metrics')).toEqual([404, 'no such page\n'])
  await expect(serveHealth({ host: '127.0.0.1', port }, health)).rejects.toThrow('EADDRINUSE')
  await new Promise((resolve) => server.close(resolve))
})

test('what was denied is told to this host', async () => {
  const health = { ailment: () => undefined, unready: () => undefined, denied: () => ({ recent: [] }) }
  const server = await serveHealth({ host: '::', port: 0 }, health)
  const { port } = server.address() as AddressInfo
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
  await new Promise((resolve) => server.close(resolve))
})
