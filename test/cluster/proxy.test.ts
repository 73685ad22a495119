import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { kubeconfigAccess } from '../../agent/cluster/kubeconfig.ts'
import { connectOwnNode } from '../../agent/cluster/own-node.ts'
import { proxyFor } from '../../agent/cluster/proxy.ts'
import type { ApiServer } from './api-server.ts'
import { NODE, startServer } from './own-node-fixture.ts'

const proxy = 'http://proxy.example:3128'

describe('the proxy of an HTTPS server', () => {
  test.each<[string, string, Record<string, string>, string | undefined]>([
    ['none is named', 'https://k8s.example', {}, undefined],
    ['an empty name is none', 'https://k8s.example', { HTTPS_PROXY: '' }, undefined],
    ['one for HTTP is for others', 'https://k8s.example', { HTTP_PROXY: proxy }, undefined],
    ['in small letters', 'https://k8s.example', { https_proxy: proxy }, proxy],
    ['without a scheme', 'https://k8s.example', { HTTPS_PROXY: 'proxy.example:3128' }, proxy],
    ['localhost has none', 'https://localhost:6443', { HTTPS_PROXY: proxy }, undefined],
    ['loopback has none', 'https://127.0.0.1:6443', { HTTPS_PROXY: proxy }, undefined],
    ['loopback of IPv6 has none', 'https://[::1]:6443', { HTTPS_PROXY: proxy }, undefined],
  ])('%s', (_, server, env, expected) => {
    expect(proxyFor(new URL(server), env)).toBe(expected)
  })

  test.each<[string, string, string, boolean]>([
    ['all', '*', 'https://k8s.example', true],
    ['a name', 'k8s.example', 'https://k8s.example', true],
    ['a name among others', 'a.example, K8s.Example,b', 'https://k8s.example', true],
    ['what is below a name', 'example', 'https://k8s.example', true],
    ['no name that only ends so', 's.example', 'https://k8s.example', false],
    ['what is below a name, by a dot', '.example', 'https://k8s.example', true],
    ['but not that name itself', '.k8s.example', 'https://k8s.example', false],
    ['what is below a name, by a star', '*.example', 'https://k8s.example', true],
    ['a name and its port', 'k8s.example:443', 'https://k8s.example', true],
    ['no other port', 'k8s.example:443', 'https://k8s.example:6443', false],
    ['an address', '10.1.2.3', 'https://10.1.2.3:6443', true],
    ['a network', '10.0.0.0/8', 'https://10.1.2.3:6443', true],
    ['no other network', '10.0.0.0/16', 'https://10.1.2.3:6443', false],
    ['no network that is none', '10.0.0.0/99', 'https://10.1.2.3:6443', false],
    ['an address of IPv6', '2001:db8::1', 'https://[2001:db8::1]:6443', true],
    ['a network of IPv6', '2001:db8::/32', 'https://[2001:db8::1]:6443', true],
  ])('NO_PROXY names %s', (_, spared, server, isSpared) => {
    expect(proxyFor(new URL(server), { HTTPS_PROXY: proxy, NO_PROXY: spared })).toBe(
      isSpared ? undefined : proxy,
    )
  })
})

/** A proxy that leads every tunnel to one port of this host, until the end of the test. */
async function startProxy(port: number) {
  const asked: (string | undefined)[] = []
  const server = createServer()
  server.on('connect', (request, socket) => {
    asked.push(request.url)
    const there = connectTcp(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      there.pipe(socket).pipe(there)
    })
    for (const end of [there, socket]) end.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: urlOf(server), asked }
}

test('a proxy that says nothing keeps nobody for long', async () => {
  const deaf = createTcpServer().listen(0, '127.0.0.1')
  await once(deaf, 'listening')
  onTestFinished(() => void deaf.close())
  const server = await startServer()
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('HTTPS_PROXY', urlOf(deaf))
  vi.stubEnv('NO_PROXY', '')
  await writeConfig(server)
  const asked = once(deaf, 'connection')
  const getAccess = kubeconfigAccess(server.kubeconfigFile)
  const failing = connectOwnNode({ nodeName: NODE, getAccess, timeoutMs: 100 }).read()
  await expect(failing).rejects.toThrow('nothing came for 0.1 s')
  const [socket] = (await asked) as [Socket]
  await once(socket.resume(), 'close')
})

test('a server elsewhere is asked through the proxy that the environment names', async () => {
  const server = await startServer()
  const { url, asked } = await startProxy(server.port)
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('HTTPS_PROXY', url)
  vi.stubEnv('NO_PROXY', '')
  await writeConfig(server)
  const ownNode = connectOwnNode({ nodeName: NODE, getAccess: kubeconfigAccess(server.kubeconfigFile) })
  expect(await ownNode.read()).toMatchObject({ name: NODE })
  expect(asked).toEqual(['k8s.example:443'])
})

/** A kubeconfig that calls a server by another name. */
async function writeConfig(server: ApiServer): Promise<void> {
  const cluster = {
    server: 'https://k8s.example',
    'certificate-authority': server.caFile,
    'tls-server-name': server.host,
  }
  const config = {
    'current-context': 'a',
    clusters: [{ name: 'a', cluster }],
    users: [{ name: 'a', user: { tokenFile: join(server.serviceAccountDir, 'token') } }],
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  }
  await writeFile(server.kubeconfigFile, JSON.stringify(config))
}

function urlOf(server: Server): string {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}
