import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { findAccess } from '../../agent/cluster/access.ts'
import { connectClient } from '../../agent/cluster/api-client.ts'
import { letGo } from '../../agent/cluster/let-go.ts'
import { uninstallWait } from '../../agent/fleet/uninstall-wait.ts'
import type { Rule } from './api-server/access-control.ts'
import { CLUSTER_ROLES, DAEMON_SETS, NAMESPACES, ROLES } from './api-server/uninstall-resources.ts'
import { PODS } from './api-server/resources.ts'
import { startApiServer } from './api-server.ts'
import type { ApiServer } from './api-server.ts'

const NAMESPACE = 'node-firewall'
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const outside = [
  `${RBAC}/namespaces/default/roles/node-firewall-api-servers`,
  `${RBAC}/clusterroles/node-firewall`,
  `${RBAC}/clusterroles/node-firewall-uninstall`,
]
const rights: readonly Rule[] = [
  { verbs: ['get'], resources: ['daemonsets.apps'], namespace: NAMESPACE, names: ['node-firewall'] },
  { verbs: ['list'], resources: ['pods'], namespace: NAMESPACE },
  { verbs: ['get', 'delete'], resources: ['namespaces'], names: [NAMESPACE] },
  { verbs: ['patch', 'delete'], resources: ['clusterroles.rbac.authorization.k8s.io'] },
  { verbs: ['patch', 'delete'], resources: ['roles.rbac.authorization.k8s.io'], namespace: 'default' },
]

type Status = {
  readonly observedGeneration?: number
  readonly desiredNumberScheduled?: number
  readonly updatedNumberScheduled?: number
  readonly numberReady?: number
}

async function startCluster(): Promise<ApiServer> {
  const server = await startApiServer({ rules: rights })
  onTestFinished(() => server.close())
  server.store.create(NAMESPACES, { metadata: { name: NAMESPACE } })
  for (const name of ['node-firewall', 'node-firewall-uninstall', 'theirs'])
    server.store.create(CLUSTER_ROLES, { metadata: { name } })
  server.store.create(ROLES, { metadata: { name: 'node-firewall-api-servers', namespace: 'default' } })
  return server
}

/** What the DaemonSet's controller would write. */
function setDaemonSet(server: ApiServer, status: Status, initContainers = [{ name: 'clean' }]): void {
  const metadata = { name: 'node-firewall', namespace: NAMESPACE }
  const spec = { template: { spec: { initContainers, containers: [{ name: 'agent' }] } } }
  const before = server.store.get(DAEMON_SETS, NAMESPACE, 'node-firewall')
  if (before === undefined) server.store.create(DAEMON_SETS, { metadata, spec, status })
  else {
    const observedGeneration = before.metadata.generation
    server.store.replace(DAEMON_SETS, { ...before, spec, status: { ...status, observedGeneration } })
  }
}

function clientOf(server: ApiServer) {
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  const getAccess = findAccess(env, server.serviceAccountDir)
  return connectClient({ getAccess, userAgent: 'test', timeoutMs: 5_000, silenceMs: 5_000 })
}

function createPod(server: ApiServer, nodeName: string, ready: 'True' | 'False'): void {
  const labels = { 'app.kubernetes.io/name': 'node-firewall' }
  const status = { conditions: [{ type: 'Ready', status: ready }] }
  const metadata = { name: `node-firewall-${nodeName}`, namespace: NAMESPACE, labels }
  server.store.create(PODS, { metadata, spec: { nodeName }, status })
}

/** Runs the command until the end of the test; its lines, and its exit code. */
function start(server: ApiServer) {
  const stop = new AbortController()
  const lines: string[] = []
  const spy = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line))
  const ended = uninstallWait({
    namespace: NAMESPACE,
    with: outside,
    client: clientOf(server),
    signal: stop.signal,
    pauseMs: 5,
  })
  onTestFinished(async () => {
    stop.abort()
    await ended
    spy.mockRestore()
  })
  return { lines, ended, stop: () => stop.abort() }
}

const hasNamespace = (server: ApiServer) => server.store.get(NAMESPACES, undefined, NAMESPACE) !== undefined
const writes = (server: ApiServer) => server.requests.filter(({ method }) => method !== 'GET')
const polled = async (server: ApiServer, times = 3) => {
  const from = server.requests.length
  await vi.waitFor(() => expect(server.requests.length).toBeGreaterThan(from + times), { timeout: 10_000 })
}
const said = async (lines: readonly string[], part: string) =>
  vi.waitFor(() => expect(lines.at(-1)).toContain(part), { timeout: 10_000, interval: 5 })

const done = { observedGeneration: 1, desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3 }

describe('waiting until every node is clean', () => {
  test('lets go when all pods have cleaned, and not before', async () => {
    const server = await startCluster()
    setDaemonSet(server, { ...done, updatedNumberScheduled: 2, numberReady: 2 })
    const { lines, ended } = start(server)
    await said(lines, '2 of 3 nodes are clean')
    await polled(server)
    expect(writes(server)).toEqual([])
    setDaemonSet(server, done)
    expect(await ended).toBe(0)
    expect(hasNamespace(server)).toBe(false)
    expect(lines.slice(-2)).toEqual([
      '3 of 3 nodes are clean',
      'namespace node-firewall: is being deleted, and all that is left with it',
    ])
  })

  test.each<[string, Status, { name: string }[], string]>([
    ['agents still run everywhere', done, [], 'to be the one that cleans'],
    [
      'the controller has not seen the change',
      { ...done, observedGeneration: 0 },
      [{ name: 'clean' }],
      'noticed',
    ],
    ['the status is empty', {}, [{ name: 'clean' }], 'noticed'],
    ['pods are ready and old', { ...done, updatedNumberScheduled: 1 }, [{ name: 'clean' }], '1 of 3 nodes'],
    ['pods are new and not ready', { ...done, numberReady: 0 }, [{ name: 'clean' }], '0 of 3 nodes'],
  ])('changes nothing while %s', async (_name, status, initContainers, message) => {
    const server = await startCluster()
    setDaemonSet(server, status, initContainers)
    const { lines } = start(server)
    await said(lines, message)
    await polled(server)
    expect(writes(server)).toEqual([])
  })

  test('waits for a DaemonSet that is not there yet', async () => {
    const server = await startCluster()
    const { lines, ended } = start(server)
    await said(lines, 'waiting for the DaemonSet to be there')
    setDaemonSet(server, done)
    expect(await ended).toBe(0)
  })

  test('a node that is down holds it up until its Node is deleted', async () => {
    const server = await startCluster()
    setDaemonSet(server, { ...done, numberReady: 2 })
    createPod(server, 'worker-1', 'True')
    createPod(server, 'worker-3', 'False')
    const { lines, ended } = start(server)
    await said(lines, '2 of 3 nodes are clean; waiting for worker-3')
    setDaemonSet(server, { ...done, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 2 })
    expect(await ended).toBe(0)
    expect(lines).toContain('2 of 2 nodes are clean')
  })

  test('asks again when the API server was away, and tells it once', async () => {
    const server = await startCluster()
    setDaemonSet(server, { ...done, numberReady: 0 })
    const { lines, ended } = start(server)
    await said(lines, '0 of 3')
    server.faults.answerNext(5, { status: 503 })
    await said(lines, 'asking again')
    await said(lines, '0 of 3')
    expect(lines.filter((line) => line.startsWith('asking again')).length).toBe(1)
    setDaemonSet(server, done)
    expect(await ended).toBe(0)
  })

  test('ended early it says so, and has changed nothing', async () => {
    const server = await startCluster()
    setDaemonSet(server, { ...done, numberReady: 0 })
    const { lines, ended, stop } = start(server)
    await said(lines, '0 of 3')
    stop()
    expect(await ended).toBe(1)
    expect(writes(server)).toEqual([])
  })
})

describe('letting go', () => {
  const options = { namespace: NAMESPACE, with: outside }

  test('makes what is outside the namespace depend on it, then deletes it, in this order', async () => {
    const server = await startCluster()
    const uid = server.store.get(NAMESPACES, undefined, NAMESPACE)?.metadata.uid
    await letGo(clientOf(server), options)
    expect(writes(server).map(({ method, path }) => `${method} ${path}`)).toEqual([
      ...outside.map((path) => `PATCH ${path}`),
      `DELETE /api/v1/namespaces/${NAMESPACE}`,
    ])
    const owner = { apiVersion: 'v1', kind: 'Namespace', name: NAMESPACE, uid }
    const owners = server.store.list(CLUSTER_ROLES, undefined).map(({ metadata }) => metadata)
    expect(owners).toMatchObject([
      { name: 'node-firewall', ownerReferences: [owner] },
      { name: 'node-firewall-uninstall', ownerReferences: [owner] },
      { name: 'theirs' },
    ])
    expect(owners[2]).not.toHaveProperty('ownerReferences')
    expect(JSON.parse(writes(server).at(-1)?.body ?? '')).toMatchObject({ preconditions: { uid } })
  })

  test('does not delete the namespace when one of the others was refused, and can be done again', async () => {
    const server = await startCluster()
    await server.rotateToken(rights.filter(({ namespace }) => namespace !== 'default'))
    await expect(letGo(clientOf(server), options)).rejects.toThrow(/PATCH .*403/)
    expect(hasNamespace(server)).toBe(true)
    await server.rotateToken(rights)
    await letGo(clientOf(server), options)
    expect(hasNamespace(server)).toBe(false)
  })

  test('what is gone already is none the worse for it', async () => {
    const server = await startCluster()
    const role = server.store.get(ROLES, 'default', 'node-firewall-api-servers')
    if (role !== undefined) server.store.remove(ROLES, role)
    await letGo(clientOf(server), options)
    await letGo(clientOf(server), options)
    expect(hasNamespace(server)).toBe(false)
  })
})
