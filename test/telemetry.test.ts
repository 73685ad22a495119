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
