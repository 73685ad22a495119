import { expect, test } from 'vitest'
import { createClusterDns } from '../../agent/cluster/cluster-dns.ts'
import { startServer } from './own-node-fixture.ts'
import { accessTo } from './probes-fixture.ts'

const SERVICE = '/api/v1/namespaces/kube-system/services/kube-dns'

test('the addresses of kube-dns, both families, asked for once', async () => {
  const server = await startServer()
  server.objects.createService('kube-system', 'kube-dns', ['10.96.0.10', 'fd00:96::a'])
  const find = createClusterDns(accessTo(server))
  expect(await find()).toEqual(['10.96.0.10', 'fd00:96::a'])
  expect(await find()).toEqual(['10.96.0.10', 'fd00:96::a'])
  expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([`GET ${SERVICE}`])
})

test('no such Service, until there is one', async () => {
  const server = await startServer()
  const find = createClusterDns(accessTo(server))
  expect(await find()).toBeUndefined()
  server.objects.createService('kube-system', 'kube-dns', ['10.96.0.10'])
  expect(await find()).toEqual(['10.96.0.10'])
})

test('a Service without an address is none', async () => {
  const server = await startServer()
  server.objects.createService('kube-system', 'kube-dns', ['None'])
  expect(await createClusterDns(accessTo(server))()).toBeUndefined()
})

test('a failure says what was asked, and the next call asks again', async () => {
  const server = await startServer()
  server.objects.createService('kube-system', 'kube-dns', ['10.96.0.10'])
  const find = createClusterDns(accessTo(server))
  server.faults.answerNext(1, { status: 503 })
  await expect(find()).rejects.toThrow(`GET ${SERVICE}: 503 ServiceUnavailable`)
  expect(await find()).toEqual(['10.96.0.10'])
})

test('without the right', async () => {
  const server = await startServer({ rules: [] })
  await expect(createClusterDns(accessTo(server))()).rejects.toThrow(
    `GET ${SERVICE}: 403 Forbidden services "kube-dns" is forbidden`,
  )
})
