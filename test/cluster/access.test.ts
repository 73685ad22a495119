import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
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

describe('of several kubeconfigs the first that has something to say counts, as with kubectl', () => {
  type Parts = { current?: string; cluster?: string; token?: string; contexts?: readonly string[] }

  /** Files of a folder of their own, in `KUBECONFIG` until the end of the test. */
  async function list(...files: readonly (Parts | 'missing' | 'empty')[]) {
    const folder = await mkdtemp(join(tmpdir(), 'node-firewall-kubeconfigs-'))
    onTestFinished(async () => rm(folder, { recursive: true }))
    const paths = files.map((_, index) => join(folder, String(index)))
    for (const [index, file] of files.entries()) {
      const path = paths[index]
      if (file !== 'missing' && path !== undefined) await writeFile(path, file === 'empty' ? '' : text(file))
    }
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('KUBECONFIG', paths.join(delimiter))
    return folder
  }

  function text({ current, cluster, token, contexts = [] }: Parts): string {
    const server = cluster === undefined ? undefined : `https://${cluster}.example`
    return JSON.stringify({
      'current-context': current,
      clusters: server === undefined ? [] : [{ name: 'c', cluster: { server } }],
      users: token === undefined ? [] : [{ name: 'u', user: { token } }],
      contexts: contexts.map((name) => ({ name, context: { cluster: 'c', user: 'u' } })),
    })
  }

  const whole = (name: string): Parts => ({ current: name, cluster: name, token: name, contexts: [name] })

  test.each<[string, readonly (Parts | 'missing' | 'empty')[], string, string]>([
    ['the context that is current', [whole('a'), { current: 'b', contexts: ['b'] }], 'a', 'a'],
    ['where the first names none', [{ ...whole('a'), current: '' }, { current: 'a' }], 'a', 'a'],
    ['cluster and user of one name', [whole('a'), whole('b')], 'a', 'a'],
    ['parts of one whole', [{ current: 'x', contexts: ['x'] }, { token: 't' }, { cluster: 'c' }], 'c', 't'],
    ['a file that is not there', ['missing', whole('a'), 'missing'], 'a', 'a'],
    ['a file with nothing in it', ['empty', whole('a')], 'a', 'a'],
  ])('%s', async (_, files, cluster, token) => {
    await list(...files)
    const { server, headers } = await kubeconfigAccess()()
    expect([server.hostname, headers['Authorization']]).toEqual([`${cluster}.example`, `Bearer ${token}`])
  })

  test('none of them is there', async () => {
    const folder = await list('missing', 'missing')
    await expect(kubeconfigAccess()()).rejects.toThrow(
      `ENOENT: no such file or directory, open '${folder}/0'`,
    )
  })
})

test('a token that a kubeconfig names a file of, beside itself', async () => {
  const server = await startServer()
  const token = server.createToken({ user: 'operator', rules: [{ verbs: ['get'], resources: ['nodes'] }] })
  const tokenFile = join(dirname(server.kubeconfigFile), 'operator.token')
  await writeFile(tokenFile, `${token}\n`)
  const config = {
    'current-context': 'a',
    clusters: [{ name: 'a', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
    users: [{ name: 'u', user: { tokenFile: 'operator.token', token: 'of yesterday' } }],
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'u' } }],
  }
  await writeFile(server.kubeconfigFile, JSON.stringify(config))
  const ownNode = connectOwnNode({ nodeName: NODE, getAccess: kubeconfigAccess(server.kubeconfigFile) })
  expect(await ownNode.read()).toMatchObject({ name: NODE })
})

test('a plugin that logs in is found beside its kubeconfig, and told of the cluster', async () => {
  const server = await startServer()
  const token = server.createToken({ user: 'visitor', rules: [{ verbs: ['get'], resources: ['nodes'] }] })
  const folder = dirname(server.kubeconfigFile)
  const status = JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', status: { token } })
  const told = join(folder, 'told.json')
  const plugin = `#!/bin/sh\nprintf '%s' "$KUBERNETES_EXEC_INFO" > ${told}\necho '${status}'\n`
  await writeFile(join(folder, 'log-in'), plugin, { mode: 0o755 })
  const apiVersion = 'client.authentication.k8s.io/v1'
  const exec = { apiVersion, command: './log-in', interactiveMode: 'Never', provideClusterInfo: true }
  const config = {
    'current-context': 'a',
    clusters: [{ name: 'a', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
    users: [{ name: 'u', user: { exec } }],
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'u' } }],
  }
  await writeFile(server.kubeconfigFile, JSON.stringify(config))
  const ownNode = connectOwnNode({ nodeName: NODE, getAccess: kubeconfigAccess(server.kubeconfigFile) })
  expect(await ownNode.read()).toMatchObject({ name: NODE })
  const cluster = {
    server: server.url,
    'certificate-authority-data': (await readFile(server.caFile)).toString('base64'),
    config: null,
  }
  expect(JSON.parse(await readFile(told, 'utf8'))).toEqual({
    kind: 'ExecCredential',
    apiVersion,
    spec: { cluster, interactive: false },
  })
})

function statuses(server: ApiServer): (number | undefined)[] {
  return server.requests.map(({ status }) => status)
}
