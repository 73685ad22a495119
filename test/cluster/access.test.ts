import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { findAccess } from '../../agent/cluster/access.ts'
import { kubeconfigAccess } from '../../agent/cluster/kubeconfig.ts'
import { connectOwnNode } from '../../agent/cluster/own-node.ts'
import type { ApiServer } from './api-server.ts'
import { NODE, connect, startServer } from './own-node-fixture.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
if (!hasIpv6) console.warn('SKIPPED: an API server on IPv6: this machine has no ::1')

test('a token that has been rotated is used at once', async () => {
  const server = await startServer()
  const ownNode = connect(server)
  await ownNode.read()
  await server.rotateToken()
  await ownNode.read()
  expect(statuses(server)).toEqual([200, 200])
})

test('a 401 leads to a second attempt, with credentials that are read again', async () => {
  const server = await startServer()
  const ownNode = connectOwnNode({ nodeName: NODE, getAccess: kubeconfigAccess(server.kubeconfigFile) })
  await ownNode.read()
  await server.rotateToken()
  await ownNode.read()
  expect(statuses(server)).toEqual([200, 401, 200])
})

test('a 401 to a patch leads to one more patch', async () => {
  const server = await startServer()
  server.faults.answerNext(1, { status: 401 })
  await connect(server).patchAnnotations({ 'node-firewall.io/state': 'Off' })
  expect(server.requests.map(({ verb, status }) => [verb, status])).toEqual([
    ['patch', 401],
    ['patch', 200],
  ])
})

test('two 401 in a row are an error', async () => {
  const server = await startServer()
  server.faults.answerNext(2, { status: 401 })
  await expect(connect(server).read()).rejects.toThrow(
    `GET /api/v1/nodes/${NODE}: 401 Unauthorized Unauthorized`,
  )
  expect(statuses(server)).toEqual([401, 401])
})

test('a server whose certificate another CA has signed is not trusted', async () => {
  const server = await startServer()
  const other = await startServer({ real: false })
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  const getAccess = findAccess(env, other.serviceAccountDir)
  await expect(connect(server, { getAccess }).read()).rejects.toThrow(
    /no connection: .*(SELF_SIGNED|UNABLE_TO_VERIFY|SIGNATURE)/,
  )
  expect(server.requests).toEqual([])
})

test('an IPv6 address of the API server gets its brackets', async () => {
  const server = await startServer()
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }
  const access = await findAccess(env, server.serviceAccountDir)()
  expect(access.server.href).toBe('https://[fd00::1]:6443/')
})

test.runIf(hasIpv6)('an API server on IPv6', async () => {
  const server = await startServer({ host: '::1' })
  expect(await connect(server).read()).toMatchObject({ name: NODE })
})

test('a kubeconfig whose server has no TLS is refused', async () => {
  const server = await startServer()
  const cluster = { server: 'http://127.0.0.1:8080', 'insecure-skip-tls-verify': true }
  const config = {
    'current-context': 'a',
    clusters: [{ name: 'a', cluster }],
    users: [{ name: 'a', user: {} }],
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  }
  await writeFile(server.kubeconfigFile, JSON.stringify(config))
  const ownNode = connectOwnNode({ nodeName: NODE, getAccess: kubeconfigAccess(server.kubeconfigFile) })
  await expect(ownNode.read()).rejects.toThrow(
    'no kubeconfig, or one without TLS: the server is http://127.0.0.1:8080',
  )
})

test('a context other than the current one, and one that is not there', async () => {
  const server = await startServer()
  const other = await startServer({ real: false })
  const clusterOf = ({ url, caFile }: ApiServer) => ({ server: url, 'certificate-authority': caFile })
  const config = {
    'current-context': 'a',
    clusters: [
      { name: 'a', cluster: clusterOf(server) },
      { name: 'b', cluster: clusterOf(other) },
    ],
    users: [{ name: 'u', user: { token: 'none' } }],
    contexts: ['a', 'b'].map((name) => ({ name, context: { cluster: name, user: 'u' } })),
  }
  await writeFile(server.kubeconfigFile, JSON.stringify(config))
  const access = async (context?: string) => kubeconfigAccess(server.kubeconfigFile, context)()
  expect((await access()).server.port).toBe(String(server.port))
  expect((await access('b')).server.port).toBe(String(other.port))
  await expect(access('c')).rejects.toThrow('found no context "c" in the kubeconfig, expected one of: a, b')
})

function statuses(server: ApiServer): (number | undefined)[] {
  return server.requests.map(({ status }) => status)
}
